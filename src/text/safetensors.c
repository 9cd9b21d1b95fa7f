/*
 * safetensors.c: reads the header of a .safetensors file and finds tensors in it. Every offset is checked
 * against the file before it is used. It owns the mapping and the table of tensors, and knows no model.
 */
#include "text/safetensors.h"

#include <endian.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "text/mapping.h"

enum { LENGTH_SIZE = 8 };

struct freshet_safetensors {
  freshet_slice bytes;
  bool is_mapped;          /* false: the caller owns the bytes */
  freshet_tensor* tensors; /* [count] by name */
  size_t count;
};

#define INVALID(error, ...) \
  freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "safetensors: " __VA_ARGS__)

/* ---- header ---- */

static const struct {
  const char* name;
  size_t size; /* of an element, in bytes */
  freshet_tensor_type type;
} dtypes[] = {
    {"F32", 4, FRESHET_TENSOR_F32},       {"F16", 2, FRESHET_TENSOR_F16},
    {"BF16", 2, FRESHET_TENSOR_BF16},     {"F64", 8, FRESHET_TENSOR_OTHER},
    {"I64", 8, FRESHET_TENSOR_OTHER},     {"U64", 8, FRESHET_TENSOR_OTHER},
    {"I32", 4, FRESHET_TENSOR_OTHER},     {"U32", 4, FRESHET_TENSOR_OTHER},
    {"I16", 2, FRESHET_TENSOR_OTHER},     {"U16", 2, FRESHET_TENSOR_OTHER},
    {"I8", 1, FRESHET_TENSOR_OTHER},      {"U8", 1, FRESHET_TENSOR_OTHER},
    {"BOOL", 1, FRESHET_TENSOR_OTHER},    {"F8_E4M3", 1, FRESHET_TENSOR_OTHER},
    {"F8_E5M2", 1, FRESHET_TENSOR_OTHER},
};

static freshet_status read_dtype(freshet_tensor* tensor, const json_t* value, size_t* element_size,
                                 freshet_error* error) {
  const char* name = json_string_value(value);
  for (size_t i = 0; name != NULL && i < sizeof dtypes / sizeof *dtypes; i++) {
    if (strcmp(dtypes[i].name, name) != 0) continue;
    tensor->type = dtypes[i].type;
    *element_size = dtypes[i].size;
    return FRESHET_OK;
  }
  return INVALID(error, "%.200s: unknown dtype %.40s", tensor->name, name == NULL ? "(none)" : name);
}

static freshet_status read_natural(const freshet_tensor* tensor, const char* what, const json_t* value,
                                   uint64_t* out, freshet_error* error) {
  if (!json_is_integer(value) || json_integer_value(value) < 0) {
    return INVALID(error, "%.200s: %s is not a natural number", tensor->name, what);
  }
  *out = (uint64_t)json_integer_value(value);
  return FRESHET_OK;
}

/* Computes the size in bytes of a tensor of this shape. */
static freshet_status read_shape(freshet_tensor* tensor, const json_t* shape, size_t element_size,
                                 uint64_t* size, freshet_error* error) {
  tensor->rank = json_array_size(shape);
  if (!json_is_array(shape) || tensor->rank > FRESHET_TENSOR_RANK_MAX) {
    return INVALID(error, "%.200s: no shape of at most %d dimensions", tensor->name, FRESHET_TENSOR_RANK_MAX);
  }
  *size = element_size;
  for (size_t i = 0; i < tensor->rank; i++) {
    freshet_status status =
        read_natural(tensor, "a dimension", json_array_get(shape, i), &tensor->shape[i], error);
    if (status != FRESHET_OK) return status;
    if (__builtin_mul_overflow(*size, tensor->shape[i], size)) {
      return INVALID(error, "%.200s: the shape overflows", tensor->name);
    }
  }
  return FRESHET_OK;
}

static freshet_status read_tensor(freshet_tensor* tensor, const json_t* value, freshet_slice data,
                                  freshet_error* error) {
  const json_t* offsets = json_object_get(value, "data_offsets");
  size_t element_size = 0;
  uint64_t size = 0, begin = 0, end = 0;
  freshet_status status;
  if ((status = read_dtype(tensor, json_object_get(value, "dtype"), &element_size, error)) != FRESHET_OK ||
      (status = read_shape(tensor, json_object_get(value, "shape"), element_size, &size, error)) !=
          FRESHET_OK) {
    return status;
  }
  if (json_array_size(offsets) != 2) return INVALID(error, "%.200s: no pair of data_offsets", tensor->name);
  if ((status = read_natural(tensor, "an offset", json_array_get(offsets, 0), &begin, error)) != FRESHET_OK ||
      (status = read_natural(tensor, "an offset", json_array_get(offsets, 1), &end, error)) != FRESHET_OK) {
    return status;
  }
  if (begin > end || end > data.size) {
    return INVALID(error, "%.200s: bytes %" PRIu64 " to %" PRIu64 " of %zu", tensor->name, begin, end,
                   data.size);
  }
  if (end - begin != size) {
    return INVALID(error, "%.200s: the shape takes %" PRIu64 " bytes, the file has %" PRIu64, tensor->name,
                   size, end - begin);
  }
  tensor->data = data.data + begin;
  tensor->size = size;
  return FRESHET_OK;
}

static int compare_places(const void* left, const void* right) {
  const freshet_tensor *a = left, *b = right;
  if (a->data != b->data) return a->data < b->data ? -1 : 1;
  return (a->size > b->size) - (a->size < b->size);
}

static int compare_names(const void* left, const void* right) {
  return strcmp(((const freshet_tensor*)left)->name, ((const freshet_tensor*)right)->name);
}

/* The tensors, sorted by place, have to cover the data: each begins at the end of the one before. */
static freshet_status check_cover(freshet_safetensors* file, freshet_slice data, freshet_error* error) {
  const char* covered = data.data;
  if (file->count > 0) qsort(file->tensors, file->count, sizeof *file->tensors, compare_places);
  for (size_t i = 0; i < file->count; i++) {
    const freshet_tensor* tensor = &file->tensors[i];
    if (tensor->data != covered) {
      return INVALID(error, "%.200s: %s", tensor->name,
                     tensor->data < covered ? "overlaps another tensor" : "a hole lies before it");
    }
    covered += tensor->size;
  }
  if (covered != data.data + data.size) return INVALID(error, "bytes after the last tensor");
  return FRESHET_OK;
}

static freshet_status read_header(freshet_safetensors* file, json_t* header, freshet_slice data,
                                  freshet_error* error) {
  const char* name;
  json_t* value;
  if (!json_is_object(header)) return INVALID(error, "the header is not an object");
  if (json_object_size(header) > FRESHET_TENSORS_MAX)
    return INVALID(error, "more than %d tensors", FRESHET_TENSORS_MAX);
  file->tensors = calloc(json_object_size(header) + 1, sizeof *file->tensors);
  if (file->tensors == NULL) goto no_memory;
  json_object_foreach(header, name, value) {
    freshet_tensor* tensor = &file->tensors[file->count];
    if (strcmp(name, "__metadata__") == 0) continue;
    tensor->name = strdup(name);
    if (tensor->name == NULL) goto no_memory;
    file->count++;
    freshet_status status = read_tensor(tensor, value, data, error);
    if (status != FRESHET_OK) return status;
  }
  freshet_status status = check_cover(file, data, error);
  if (file->count > 0) qsort(file->tensors, file->count, sizeof *file->tensors, compare_names);
  return status;
no_memory:
  return freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP, "safetensors: out of memory");
}

static freshet_status parse(freshet_safetensors* file, freshet_slice bytes, freshet_error* error) {
  uint64_t length;
  json_error_t json_error;
  if (bytes.size < LENGTH_SIZE)
    return INVALID(error, "%zu bytes are too few for a header length", bytes.size);
  memcpy(&length, bytes.data, LENGTH_SIZE);
  length = le64toh(length);
  if (length > FRESHET_SAFETENSORS_HEADER_MAX || length > bytes.size - LENGTH_SIZE) {
    return INVALID(error, "a header of %" PRIu64 " bytes in a file of %zu (at most %d)", length, bytes.size,
                   FRESHET_SAFETENSORS_HEADER_MAX);
  }
  freshet_slice data = {bytes.data + LENGTH_SIZE + length, bytes.size - LENGTH_SIZE - (size_t)length};
  json_t* header = json_loadb(bytes.data + LENGTH_SIZE, (size_t)length, JSON_REJECT_DUPLICATES, &json_error);
  if (header == NULL) {
    return INVALID(error, "the header is not JSON: %s at byte %d", json_error.text, json_error.position);
  }
  freshet_status status = read_header(file, header, data, error);
  json_decref(header);
  return status;
}

/* ---- opening and closing ---- */

freshet_status freshet_safetensors_parse(freshet_slice bytes, freshet_safetensors** file,
                                         freshet_error* error) {
  freshet_safetensors* self = calloc(1, sizeof *self);
  if (self == NULL) {
    return freshet_error_set(error, FRESHET_NO_MEMORY, FRESHET_STOP, "safetensors: out of memory");
  }
  freshet_status status = parse(self, bytes, error);
  if (status != FRESHET_OK) {
    freshet_safetensors_close(self);
    return status;
  }
  self->bytes = bytes;
  *file = self;
  return FRESHET_OK;
}

freshet_status freshet_safetensors_open(const char* path, freshet_safetensors** file, freshet_error* error) {
  freshet_error detail = {0};
  freshet_slice bytes;
  freshet_status status = freshet_map_file(path, &bytes, error);
  if (status != FRESHET_OK) return status;
  status = freshet_safetensors_parse(bytes, file, &detail);
  if (status != FRESHET_OK) {
    freshet_unmap_file(bytes);
    return freshet_error_set(error, status, FRESHET_STOP, "%s: %s", path, detail.message);
  }
  (*file)->is_mapped = true;
  return FRESHET_OK;
}

void freshet_safetensors_close(freshet_safetensors* file) {
  if (file == NULL) return;
  for (size_t i = 0; i < file->count; i++) free(file->tensors[i].name);
  free(file->tensors);
  if (file->is_mapped) freshet_unmap_file(file->bytes);
  free(file);
}

uint64_t freshet_safetensors_hash(const freshet_safetensors* file) {
  return XXH3_64bits(file->bytes.data, file->bytes.size);
}

void freshet_safetensors_forget(freshet_safetensors* file) {
  if (file->is_mapped) freshet_forget_file(file->bytes);
}

/* ---- tensors ---- */

const freshet_tensor* freshet_safetensors_find(const freshet_safetensors* file, const char* name) {
  freshet_tensor key = {.name = (char*)name};
  if (file->count == 0) return NULL;
  return bsearch(&key, file->tensors, file->count, sizeof *file->tensors, compare_names);
}

freshet_status freshet_safetensors_require(const freshet_safetensors* file, const char* name, uint64_t rows,
                                           uint64_t columns, const freshet_tensor** tensor,
                                           freshet_error* error) {
  const freshet_tensor* found = freshet_safetensors_find(file, name);
  size_t rank = rows == 0 ? 1 : 2;
  if (found == NULL) return INVALID(error, "no tensor %s", name);
  if (found->type == FRESHET_TENSOR_OTHER) return INVALID(error, "%s: not of type F32, F16 or BF16", name);
  if (found->rank != rank || found->shape[rank - 1] != columns || (rank == 2 && found->shape[0] != rows)) {
    return INVALID(error,
                   "%s: shape [%" PRIu64 "][%" PRIu64 "] of rank %zu; expected [%" PRIu64 "][%" PRIu64 "]",
                   name, found->rank == 2 ? found->shape[0] : 0,
                   found->rank == 0 ? 0 : found->shape[found->rank - 1], found->rank, rows, columns);
  }
  *tensor = found;
  return FRESHET_OK;
}

static float float_of_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* IEEE 754 binary16: sign, 5 bits of exponent (bias 15), 10 bits of fraction. */
static float half_to_float(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = (half >> 10) & 31, fraction = half & 0x3ff;
  if (exponent == 31) return float_of_bits(sign | 0x7f800000 | fraction << 13);
  if (exponent == 0) {
    float value = (float)fraction * 0x1p-24F;
    return sign != 0 ? -value : value;
  }
  return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

void freshet_tensor_read(const freshet_tensor* tensor, size_t first, size_t count, float* out) {
  size_t element_size = tensor->type == FRESHET_TENSOR_F32 ? sizeof(float) : sizeof(uint16_t);
  const char* data = tensor->data + first * element_size;
  FRESHET_ASSERT(tensor->type != FRESHET_TENSOR_OTHER && first + count <= tensor->size / element_size);
  if (tensor->type == FRESHET_TENSOR_F32) {
    memcpy(out, data, count * sizeof(float));
    return;
  }
  for (size_t i = 0; i < count; i++) {
    uint16_t bits;
    memcpy(&bits, data + i * sizeof bits, sizeof bits);
    bits = le16toh(bits);
    out[i] = tensor->type == FRESHET_TENSOR_F16 ? half_to_float(bits) : float_of_bits((uint32_t)bits << 16);
  }
}
