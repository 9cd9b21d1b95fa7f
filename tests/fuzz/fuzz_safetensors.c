/* fuzz_safetensors.c: any bytes may claim to be a weight file. Whatever is accepted has to be readable. */
#include <string.h>

#include "text/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const char* const names[] = {"a", "b", "w", "embeddings.word_embeddings.weight"};
  freshet_safetensors* file = NULL;
  if (freshet_safetensors_parse((freshet_slice){(const char*)data, size}, &file, NULL) != FRESHET_OK)
    return 0;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const freshet_tensor* tensor = freshet_safetensors_find(file, names[i]);
    if (tensor == NULL || tensor->type == FRESHET_TENSOR_OTHER) continue;
    size_t count = tensor->size / (tensor->type == FRESHET_TENSOR_F32 ? 4 : 2);
    for (size_t j = 0; j < count; j++) {
      float value;
      freshet_tensor_read(tensor, j, 1, &value);
    }
    const freshet_tensor* required = NULL;
    freshet_safetensors_require(file, names[i], tensor->shape[0], tensor->shape[1], &required, NULL);
  }
  freshet_safetensors_close(file);
  return 0;
}
