/*
 * safetensors.h: reads model weights from a .safetensors file without trusting it.
 *
 * The format (the safetensors specification): a little-endian u64 header length, that many bytes of JSON,
 * {"name": {"dtype": "F32", "shape": [...], "data_offsets": [begin, end]}, ...}, and the tensors' bytes.
 * Checked at the door: every length against the file's size, each dtype and shape against its byte range,
 * that the ranges neither overlap nor leave holes, and that no name comes twice.
 *
 * The file is mapped, not read: it must not be truncated while it is open. Immutable after opening: any
 * number of threads may read.
 */
#ifndef FRESHET_TEXT_SAFETENSORS_H
#define FRESHET_TEXT_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "freshet/bytes.h"
#include "freshet/status.h"

enum {
  FRESHET_TENSOR_RANK_MAX = 8,
  FRESHET_TENSORS_MAX = 1 << 16,
  FRESHET_SAFETENSORS_HEADER_MAX = 1 << 24, /* bytes */
};

typedef enum freshet_tensor_type {
  FRESHET_TENSOR_OTHER = 0, /* integers, doubles, 8-bit floats: known to the format, of no use here */
  FRESHET_TENSOR_F32,
  FRESHET_TENSOR_F16,
  FRESHET_TENSOR_BF16,
} freshet_tensor_type;

typedef struct freshet_tensor {
  char* name;
  freshet_tensor_type type;
  size_t rank;
  uint64_t shape[FRESHET_TENSOR_RANK_MAX];
  const char* data; /* little-endian, not necessarily aligned */
  size_t size;      /* bytes */
} freshet_tensor;

typedef struct freshet_safetensors freshet_safetensors;

/* Maps a file. Errors: FRESHET_NOT_FOUND, FRESHET_IO, FRESHET_INVALID with a message that names the file and
 * the tensor. */
freshet_status freshet_safetensors_open(const char* path, freshet_safetensors** file, freshet_error* error);
/* As freshet_safetensors_open, over bytes that the caller owns and keeps. */
freshet_status freshet_safetensors_parse(freshet_slice bytes, freshet_safetensors** file,
                                         freshet_error* error);
/* NULL is allowed. */
void freshet_safetensors_close(freshet_safetensors* file);
/* XXH3 over all bytes of the file: it identifies the weights. */
uint64_t freshet_safetensors_hash(const freshet_safetensors* file);
/* Gives the mapped pages back to the system; they are read again when needed. */
void freshet_safetensors_forget(freshet_safetensors* file);

/* The tensor of a name, owned by the file; NULL: there is none. */
const freshet_tensor* freshet_safetensors_find(const freshet_safetensors* file, const char* name);
/* As freshet_safetensors_find, but the tensor must have a floating-point type and the shape [rows][columns],
 * or [columns] when rows is 0. Errors: FRESHET_INVALID, with what was expected and found. */
freshet_status freshet_safetensors_require(const freshet_safetensors* file, const char* name, uint64_t rows,
                                           uint64_t columns, const freshet_tensor** tensor,
                                           freshet_error* error);

/* Converts elements [first, first + count) to float. The tensor must be of a floating-point type and have
 * them. */
void freshet_tensor_read(const freshet_tensor* tensor, size_t first, size_t count, float* out);

#endif
