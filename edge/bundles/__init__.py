"""What an app takes along: one exported file, its manifest and its self-test images, checked for the app's runtime."""
