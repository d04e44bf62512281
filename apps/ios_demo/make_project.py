"""Write Demo.xcodeproj: Xcode 16's form, in which a folder is a target's content and files are not listed.

    python apps/ios_demo/make_project.py [FOLDER]   (default: the folder of this script)

`Demo/Model` is a plain reference, so that the package stays the file whose hash the manifest states: Xcode would
compile it otherwise, and the app compiles it on the phone.
"""

import hashlib
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAME = "Demo"
IDENTIFIER = "org.example.dermedge.demo"
USAGE = "The picture is shown to the model on this phone and goes nowhere else."

BOTH = {
    "ALWAYS_SEARCH_USER_PATHS": "NO", "CLANG_ENABLE_MODULES": "YES", "CODE_SIGN_STYLE": "Automatic",
    "ENABLE_USER_SCRIPT_SANDBOXING": "YES", "IPHONEOS_DEPLOYMENT_TARGET": "16.0",
    "LOCALIZATION_PREFERS_STRING_CATALOGS": "YES", "SDKROOT": "iphoneos", "SWIFT_VERSION": "5.0",
}  # fmt: skip
TARGET = {
    "CURRENT_PROJECT_VERSION": "1", "GENERATE_INFOPLIST_FILE": "YES",
    "INFOPLIST_KEY_CFBundleDisplayName": "dermedge", "INFOPLIST_KEY_NSCameraUsageDescription": USAGE,
    "INFOPLIST_KEY_UIApplicationSceneManifest_Generation": "YES", "INFOPLIST_KEY_UILaunchScreen_Generation": "YES",
    "INFOPLIST_KEY_UISupportedInterfaceOrientations": "UIInterfaceOrientationPortrait",
    "LD_RUNPATH_SEARCH_PATHS": "@executable_path/Frameworks", "MARKETING_VERSION": "1.0",
    "PRODUCT_BUNDLE_IDENTIFIER": IDENTIFIER, "PRODUCT_NAME": "$(TARGET_NAME)", "TARGETED_DEVICE_FAMILY": "1",
}  # fmt: skip
BY_NAME = {
    "Debug": {"ENABLE_TESTABILITY": "YES", "ONLY_ACTIVE_ARCH": "YES", "SWIFT_OPTIMIZATION_LEVEL": "-O"},
    "Release": {"SWIFT_COMPILATION_MODE": "wholemodule", "VALIDATE_PRODUCT": "YES"},
}

Value = str | list | dict


def number(name: str) -> str:
    """The 24 digits of an object, the same every time."""
    return hashlib.sha256(f"dermedge {name}".encode()).hexdigest()[:24].upper()


def objects() -> dict[str, dict[str, Value]]:
    configurations = {
        f"{kind} {owner}": {"isa": "XCBuildConfiguration", "buildSettings": settings, "name": kind}
        for kind in BY_NAME
        for owner, settings in (("project", BOTH | BY_NAME[kind]), ("target", TARGET))
    }
    lists = {
        f"configurations of {owner}": {
            "isa": "XCConfigurationList", "buildConfigurations": [number(f"{kind} {owner}") for kind in BY_NAME],
            "defaultConfigurationIsVisible": "0", "defaultConfigurationName": "Release",
        }
        for owner in ("project", "target")
    }  # fmt: skip
    phases = {
        "sources": {"isa": "PBXSourcesBuildPhase", "files": []},
        "frameworks": {"isa": "PBXFrameworksBuildPhase", "files": [number("package in target")]},
        "resources": {"isa": "PBXResourcesBuildPhase", "files": [number("model in target")]},
    }
    for phase in phases.values():
        phase |= {"buildActionMask": "2147483647", "runOnlyForDeploymentPostprocessing": "0"}
    named = {
        "project": {
            "isa": "PBXProject", "attributes": {"BuildIndependentTargetsInParallel": "1", "LastUpgradeCheck": "1600"},
            "buildConfigurationList": number("configurations of project"), "developmentRegion": "en",
            "hasScannedForEncodings": "0", "knownRegions": ["en", "de", "Base"], "mainGroup": number("all"),
            "minimizedProjectReferenceProxies": "1", "packageReferences": [number("package")],
            "preferredProjectObjectVersion": "77", "productRefGroup": number("products"), "projectDirPath": "",
            "projectRoot": "", "targets": [number("target")],
        },
        "all": {
            "isa": "PBXGroup", "children": [number("app"), number("model"), number("products")],
            "sourceTree": "<group>",
        },
        "products": {"isa": "PBXGroup", "children": [number("product")], "name": "Products", "sourceTree": "<group>"},
        "app": {"isa": "PBXFileSystemSynchronizedRootGroup", "path": "Demo/App", "sourceTree": "<group>"},
        "model": {
            "isa": "PBXFileReference", "lastKnownFileType": "folder", "name": "Model", "path": "Demo/Model",
            "sourceTree": "<group>",
        },
        "product": {
            "isa": "PBXFileReference", "explicitFileType": "wrapper.application", "includeInIndex": "0",
            "path": f"{NAME}.app", "sourceTree": "BUILT_PRODUCTS_DIR",
        },
        "package": {"isa": "XCLocalSwiftPackageReference", "relativePath": "LesionKit"},
        "package product": {"isa": "XCSwiftPackageProductDependency", "productName": "LesionKit"},
        "package in target": {"isa": "PBXBuildFile", "productRef": number("package product")},
        "model in target": {"isa": "PBXBuildFile", "fileRef": number("model")},
        "target": {
            "isa": "PBXNativeTarget", "buildConfigurationList": number("configurations of target"),
            "buildPhases": [number(name) for name in phases], "buildRules": [], "dependencies": [],
            "fileSystemSynchronizedGroups": [number("app")], "name": NAME,
            "packageProductDependencies": [number("package product")], "productName": NAME,
            "productReference": number("product"), "productType": "com.apple.product-type.application",
        },
    }  # fmt: skip
    return {number(name): value for name, value in (named | phases | configurations | lists).items()}


def written(value: Value, indent: int = 1) -> str:
    """A value in the old form of property lists."""
    tabs = "\t" * indent
    if isinstance(value, dict):
        lines = "".join(f"{tabs}\t{written(key)} = {written(content, indent + 1)};\n" for key, content in value.items())
        return f"{{\n{lines}{tabs}}}"
    if isinstance(value, list):
        return "(\n" + "".join(f"{tabs}\t{written(content, indent + 1)},\n" for content in value) + f"{tabs})"
    if value and all(letter.isalnum() or letter in "_." for letter in value) and value.isascii():
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def project() -> str:
    whole = {
        "archiveVersion": "1", "classes": {}, "objectVersion": "77", "objects": objects(),
        "rootObject": number("project"),
    }  # fmt: skip
    return f"// !$*UTF8*$!\n{written(whole, 0)}\n"


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    place = folder / f"{NAME}.xcodeproj" / "project.pbxproj"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(project(), encoding="utf-8")
