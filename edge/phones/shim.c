// Lets a glibc process dlopen a library that was linked for Android (bionic libc/libm/libdl/liblog).
// One shared object under four names (libc.so libm.so libdl.so liblog.so), symbol version LIBC, 64-bit x86 and ARM.
// imports.h (made by edge/phones/android.py from `nm -D`) lists the imports as X(name): each becomes a jump to glibc's function of that name.
// Only what differs between the two libraries is written out below.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *g_dlopen(const char *, int), *g_dlsym(void *, const char *);
int g_dladdr(const void *, Dl_info *), g_dlclose(void *);
__asm__(".symver g_dlopen, dlopen@GLIBC_2.34\n.symver g_dlsym, dlsym@GLIBC_2.34\n"  // glibc's own, not our jumps
        ".symver g_dladdr, dladdr@GLIBC_2.34\n.symver g_dlclose, dlclose@GLIBC_2.34");

#define HIDDEN __attribute__((visibility("hidden"), used))
#if defined(__x86_64__)
#define JUMP(n) "jmp *real_" #n "(%rip)\n"
#elif defined(__aarch64__)
#define JUMP(n) "adrp x16, real_" #n "\nldr x16, [x16, :lo12:real_" #n "]\nbr x16\n"
#endif
#define X(n) HIDDEN void *real_##n; \
  __asm__(".text\n.globl " #n "\n.type " #n ", %function\n.balign 16\n" #n ":\n" JUMP(n) ".size " #n ", .-" #n);
#include "imports.h"
#undef X
// REPLACE(n): our own function shim_n is exported as n
#define REPLACE(n) __asm__(".globl " #n "\n.type " #n ", %function\n.set " #n ", shim_" #n)
static int (*r_fprintf)(FILE *, const char *, ...);
static FILE *r_stdin, *r_stdout, *r_stderr;  // glibc's

// ---- names that glibc does not have
HIDDEN int *shim___errno(void) { return __errno_location(); }                        REPLACE(__errno);
HIDDEN size_t shim___strlen_chk(const char *s, size_t n) { (void)n; size_t i = 0; while (s[i]) i++; return i; }  REPLACE(__strlen_chk);
// The JNI code looks for XNNPACK only if the SDK level is known and at least 20.
HIDDEN int shim___system_property_get(const char *name, char *value) {
  value[0] = 0;
  if (strcmp(name, "ro.build.version.sdk")) return 0;
  value[0] = '3', value[1] = '3', value[2] = 0;
  return 2;
}
REPLACE(__system_property_get);
HIDDEN void shim_android_set_abort_message(const char *m) { r_fprintf(r_stderr, "abort message: %s\n", m); }       REPLACE(android_set_abort_message);
static int (*r_vfprintf)(FILE *, const char *, va_list);
HIDDEN int shim___android_log_vprint(int prio, const char *tag, const char *fmt, va_list ap) {
  r_fprintf(r_stderr, "%c/%s: ", "??VDIWEF"[prio & 7], tag); int n = r_vfprintf(r_stderr, fmt, ap); r_fprintf(r_stderr, "\n"); return n;
}
REPLACE(__android_log_vprint);

// ---- stdin/stdout/stderr: bionic's are the addresses &__sF[0..2] (152 bytes each), so translate every FILE * that comes in
char __sF[3 * 152];
// Newer libraries take the variables stdin, stdout and stderr instead, which point to the same addresses. glibc's own are
// looked up, since these names are ours in here.
HIDDEN void *shim_stdin = __sF, *shim_stdout = __sF + 152, *shim_stderr = __sF + 304;
#define VARIABLE(n) __asm__(".globl " #n "\n.type " #n ", %object\n.size " #n ", 8\n.set " #n ", shim_" #n)
VARIABLE(stdin); VARIABLE(stdout); VARIABLE(stderr);
static FILE *file(void *f) {
  long d = (char *)f - __sF;
  return d < 0 || d >= (long)sizeof __sF ? f : d == 0 ? r_stdin : d == 152 ? r_stdout : r_stderr;
}
static int (*r_fputc)(int, FILE *), (*r_fflush)(FILE *), (*r_fclose)(FILE *), (*r_fileno)(FILE *);
static size_t (*r_fwrite)(const void *, size_t, size_t, FILE *), (*r_fread)(void *, size_t, size_t, FILE *);
HIDDEN int shim_fputc(int c, void *f) { return r_fputc(c, file(f)); }                REPLACE(fputc);
HIDDEN int shim_fflush(void *f) { return r_fflush(f ? file(f) : 0); }                REPLACE(fflush);
HIDDEN int shim_fclose(void *f) { return r_fclose(file(f)); }                        REPLACE(fclose);
HIDDEN int shim_fileno(void *f) { return r_fileno(file(f)); }                        REPLACE(fileno);
HIDDEN size_t shim_fwrite(const void *p, size_t s, size_t n, void *f) { return r_fwrite(p, s, n, file(f)); }     REPLACE(fwrite);
HIDDEN size_t shim_fread(void *p, size_t s, size_t n, void *f) { return r_fread(p, s, n, file(f)); }             REPLACE(fread);
HIDDEN int shim_vfprintf(void *f, const char *fmt, va_list ap) { return r_vfprintf(file(f), fmt, ap); }          REPLACE(vfprintf);
HIDDEN int shim_fprintf(void *f, const char *fmt, ...) { va_list a; va_start(a, fmt); int n = r_vfprintf(file(f), fmt, a); va_end(a); return n; }
REPLACE(fprintf);

// ---- same name, other meaning
static long (*r_sysconf)(int);
HIDDEN long shim_sysconf(int n) {  // bionic numbers its _SC_ constants differently
  switch (n) {
    case 0x27: case 0x28: return r_sysconf(_SC_PAGESIZE);
    case 0x60: return r_sysconf(_SC_NPROCESSORS_CONF);
    case 0x61: return r_sysconf(_SC_NPROCESSORS_ONLN);
    case 0x62: return r_sysconf(_SC_PHYS_PAGES);
  }
  r_fprintf(r_stderr, "shim: sysconf(%#x) is not translated\n", n);
  errno = EINVAL; return -1;
}
REPLACE(sysconf);
static int (*r_xpg)(int, char *, size_t);
HIDDEN int shim_strerror_r(int e, char *b, size_t n) { return r_xpg(e, b, n); }      REPLACE(strerror_r);  // bionic: POSIX form; glibc: GNU form
HIDDEN int shim_pthread_mutex_init(void *m, const void *attr) {  // bionic: 40 bytes; glibc/arm64 would clear 48
  if (attr) { r_fprintf(r_stderr, "shim: mutex attributes are not translated\n"); abort(); }
  for (int i = 0; i < 40; i++) ((volatile char *)m)[i] = 0;
  return 0;
}
REPLACE(pthread_mutex_init);

// bionic's RTLD_DEFAULT also searches the calling library. The JNI code finds its own XNNPACK that way, so without this
// org.tensorflow.lite.Interpreter silently runs without XNNPACK.
HIDDEN void *shim_dlsym(void *h, const char *name) {
  void *p = g_dlsym(h, name), *own;
  Dl_info i;
  if (!p && h == RTLD_DEFAULT && g_dladdr(__builtin_return_address(0), &i) && (own = g_dlopen(i.dli_fname, RTLD_LAZY | RTLD_NOLOAD))) {
    p = g_dlsym(own, name);
    g_dlclose(own);
  }
  return p;
}
REPLACE(dlsym);
// The Android x86 build allocates XNNPACK's operators on 32-byte boundaries but also contains AVX-512 kernels that load their
// parameters with vmovaps zmm: a crash on hosts with AVX-512 (no phone has it). Give every aligned block 64 bytes.
static void *(*r_memalign)(size_t, size_t);
HIDDEN void *shim_memalign(size_t a, size_t n) { return r_memalign(a < 64 ? 64 : a, n); }                        REPLACE(memalign);
HIDDEN int shim_posix_memalign(void **p, size_t a, size_t n) { return (*p = shim_memalign(a, n)) ? 0 : ENOMEM; }    REPLACE(posix_memalign);

// ---- runs before the constructors of the Android library, which depends on us
__attribute__((constructor)) static void fill(void) {
  void *c = g_dlopen("libc.so.6", 1), *m = g_dlopen("libm.so.6", 1), *p;
#define GET(n) ((p = g_dlsym(c, n)) ? p : (p = g_dlsym(m, n)))
  r_fprintf = GET("fprintf"); r_vfprintf = GET("vfprintf"); r_fputc = GET("fputc"); r_fflush = GET("fflush"); r_fclose = GET("fclose");
  r_fileno = GET("fileno"); r_fwrite = GET("fwrite"); r_fread = GET("fread"); r_sysconf = GET("sysconf"); r_xpg = GET("__xpg_strerror_r");
  r_memalign = GET("memalign");
  r_stdin = *(FILE **)GET("stdin"); r_stdout = *(FILE **)GET("stdout"); r_stderr = *(FILE **)GET("stderr");
#define X(n) if (!(real_##n = GET(#n))) { r_fprintf(r_stderr, "shim: glibc has no " #n "\n"); ((void (*)(int))g_dlsym(c, "_exit"))(127); }
#include "imports.h"
}
