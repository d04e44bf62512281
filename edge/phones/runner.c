/* Runs a .tflite by the C API of Android's libtensorflowlite_jni.so, frame by frame.

     runner LIBRARY MODEL THREADS XNNPACK     (XNNPACK: 1 as the phone's Interpreter sets it, 0 without)

   First line on standard output: a JSON object with the library's version, whether XNNPACK was applied, and name,
   type (the C API's number) and shape of each input and output. Then, for every set of raw input tensors on standard
   input, the raw output tensors. Ends with the input. What the library says goes to standard error; exit code 3: it
   refused the file. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#define MOST 8 /* inputs or outputs */
typedef void Model, Options, Interpreter, Tensor, Delegate;
#define REQUIRED(F)                                                                                        \
  F(const char *, TfLiteVersion, (void))                                                                   \
  F(Model *, TfLiteModelCreateFromFile, (const char *))                                                    \
  F(Options *, TfLiteInterpreterOptionsCreate, (void))                                                     \
  F(void, TfLiteInterpreterOptionsSetNumThreads, (Options *, int))                                         \
  F(Interpreter *, TfLiteInterpreterCreate, (const Model *, const Options *))                              \
  F(int, TfLiteInterpreterAllocateTensors, (Interpreter *))                                                \
  F(int, TfLiteInterpreterInvoke, (Interpreter *))                                                         \
  F(int, TfLiteInterpreterGetInputTensorCount, (const Interpreter *))                                      \
  F(int, TfLiteInterpreterGetOutputTensorCount, (const Interpreter *))                                     \
  F(Tensor *, TfLiteInterpreterGetInputTensor, (const Interpreter *, int))                                 \
  F(const Tensor *, TfLiteInterpreterGetOutputTensor, (const Interpreter *, int))                          \
  F(const char *, TfLiteTensorName, (const Tensor *))                                                      \
  F(int, TfLiteTensorType, (const Tensor *))                                                               \
  F(int, TfLiteTensorNumDims, (const Tensor *))                                                            \
  F(int, TfLiteTensorDim, (const Tensor *, int))                                                           \
  F(size_t, TfLiteTensorByteSize, (const Tensor *))                                                        \
  F(int, TfLiteTensorCopyFromBuffer, (Tensor *, const void *, size_t))                                     \
  F(int, TfLiteTensorCopyToBuffer, (const Tensor *, void *, size_t))
#define OPTIONAL(F) /* older libraries keep XNNPACK to themselves */                                       \
  F(Delegate *, TfLiteXNNPackDelegateCreate, (const void *))                                               \
  F(void, TfLiteInterpreterOptionsAddDelegate, (Options *, Delegate *))
#define DECLARE(type, name, arguments) static type(*name) arguments;
REQUIRED(DECLARE)
OPTIONAL(DECLARE)

/* Android's arm64 code reads its stack canary at tpidr_el0 + 0x28. With glibc that address lies in the executable's own
   thread-local block, which begins at + 0x10: keep it occupied and unchanged. */
__thread char occupied[64] = {1};

static void fail(int code, const char *what) {
  fprintf(stderr, "runner: %s\n", what);
  exit(code);
}

static void describe(const char *name, int count, const Tensor *const *tensors) {
  printf(", \"%s\": [", name);
  for (int i = 0; i < count; i++) {
    printf("%s{\"name\": \"", i ? ", " : "");
    for (const char *c = TfLiteTensorName(tensors[i]); c && *c; c++)
      putchar(*c < ' ' || *c > '~' || *c == '"' || *c == '\\' ? '_' : *c); /* nothing that JSON would have escaped */
    printf("\", \"type\": %d, \"shape\": [", TfLiteTensorType(tensors[i]));
    for (int d = 0; d < TfLiteTensorNumDims(tensors[i]); d++)
      printf("%s%d", d ? ", " : "", TfLiteTensorDim(tensors[i], d));
    printf("]}");
  }
  printf("]");
}

int main(int argc, char **argv) {
  if (argc != 5 || !occupied[0]) fail(2, "LIBRARY MODEL THREADS XNNPACK");
  void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (!library) fail(2, dlerror());
#define LOAD(type, name, arguments) name = (type(*) arguments)dlsym(library, #name);
#define DEMAND(type, name, arguments) \
  if (!name) fail(2, "the library has no C API (" #name "); take a newer one");
  REQUIRED(LOAD)
  REQUIRED(DEMAND)
  OPTIONAL(LOAD)
  Model *model = TfLiteModelCreateFromFile(argv[2]);
  if (!model) fail(3, "the file is no model");
  Options *options = TfLiteInterpreterOptionsCreate();
  TfLiteInterpreterOptionsSetNumThreads(options, atoi(argv[3]));
  int delegated = atoi(argv[4]) && TfLiteXNNPackDelegateCreate && TfLiteInterpreterOptionsAddDelegate;
  if (delegated) TfLiteInterpreterOptionsAddDelegate(options, TfLiteXNNPackDelegateCreate(NULL));
  Interpreter *interpreter = TfLiteInterpreterCreate(model, options);
  if (!interpreter) fail(3, "the model was refused");
  if (TfLiteInterpreterAllocateTensors(interpreter)) fail(3, "the model cannot be prepared");

  int inputs = TfLiteInterpreterGetInputTensorCount(interpreter);
  int outputs = TfLiteInterpreterGetOutputTensorCount(interpreter);
  if (inputs < 1 || inputs > MOST || outputs < 1 || outputs > MOST) fail(3, "too many inputs or outputs");
  Tensor *input[MOST];
  const Tensor *output[MOST];
  char *buffer[2 * MOST];
  for (int i = 0; i < inputs; i++) input[i] = TfLiteInterpreterGetInputTensor(interpreter, i);
  for (int i = 0; i < outputs; i++) output[i] = TfLiteInterpreterGetOutputTensor(interpreter, i);
  for (int i = 0; i < inputs; i++)
    if (!(buffer[i] = malloc(TfLiteTensorByteSize(input[i])))) fail(2, "out of memory");
  for (int i = 0; i < outputs; i++)
    if (!(buffer[MOST + i] = malloc(TfLiteTensorByteSize(output[i])))) fail(2, "out of memory");
  printf("{\"version\": \"%s\", \"xnnpack\": %s", TfLiteVersion(), delegated ? "true" : "false");
  describe("inputs", inputs, (const Tensor *const *)input);
  describe("outputs", outputs, output);
  printf("}\n");
  fflush(stdout);

  for (;;) {
    for (int i = 0; i < inputs; i++) {
      size_t size = TfLiteTensorByteSize(input[i]);
      if (fread(buffer[i], 1, size, stdin) != size) return 0;
      if (TfLiteTensorCopyFromBuffer(input[i], buffer[i], size)) fail(2, "an input was not taken");
    }
    if (TfLiteInterpreterInvoke(interpreter)) fail(4, "the inference failed");
    for (int i = 0; i < outputs; i++) {
      size_t size = TfLiteTensorByteSize(output[i]);
      if (TfLiteTensorCopyToBuffer(output[i], buffer[MOST + i], size)) fail(4, "an output was not given");
      fwrite(buffer[MOST + i], 1, size, stdout);
    }
    fflush(stdout);
  }
}
