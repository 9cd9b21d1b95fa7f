/* replay_main.c: runs a fuzz target over the files of the folders named, for compilers without libFuzzer and
 * for ctest. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

static int replay_file(const char* path) {
  FILE* file = fopen(path, "rb");
  if (file == NULL) return 0;
  uint8_t* bytes = malloc(1 << 22);
  size_t size = fread(bytes, 1, 1 << 22, file);
  fclose(file);
  /* A copy of the exact size, so that AddressSanitizer sees a read past the end. */
  uint8_t* exact = malloc(size == 0 ? 1 : size);
  for (size_t i = 0; i < size; i++) exact[i] = bytes[i];
  free(bytes);
  LLVMFuzzerTestOneInput(exact, size);
  free(exact);
  return 1;
}

int main(int argc, char** argv) {
  int inputs = 0;
  for (int i = 1; i < argc; i++) {
    DIR* folder = opendir(argv[i]);
    if (folder == NULL) {
      inputs += replay_file(argv[i]);
      continue;
    }
    for (struct dirent* entry; (entry = readdir(folder)) != NULL;) {
      char path[4096];
      if (entry->d_name[0] == '.') continue;
      snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
      inputs += replay_file(path);
    }
    closedir(folder);
  }
  printf("%d inputs replayed\n", inputs);
  return inputs > 0 ? 0 : 1;
}
