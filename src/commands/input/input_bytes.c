/*
 * input_bytes.c: the chain file -> wrapping -> character set of input_bytes.h. Each link pulls from the one
 * before it. gzip goes through zlib and not through libarchive, which does not check gzip's checksums.
 */
#include "commands/input/input_bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <iconv.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "commands/input/input_archive.h"

enum { RAW_BYTES = 1 << 17, MAGIC_BYTES = 10, GZIP_WINDOW = 16 + MAX_WBITS };

struct freshet_bytes {
  const char* path;
  int descriptor;
  bool regular;
  double size_bytes;  /* as stored, when it was opened; 0: not known */
  double grown_bytes; /* by how much it has grown since, as seen at its end */
  double read_bytes;
  uint8_t raw[RAW_BYTES];
  size_t raw_at, raw_end;
  bool raw_ended;
  freshet_error trouble; /* of the raw bytes, for libarchive, which only learns that reading failed */
  bool is_gzip, member_done;
  z_stream inflating;
  freshet_archive* archive;
  iconv_t converter; /* (iconv_t)-1: none */
  size_t unit_bytes; /* of the encoding: so much is skipped after an error */
  char coded[RAW_BYTES];
  size_t coded_at, coded_end;
  bool coded_ended;
  freshet_buffer head;
  size_t head_at;
};

/* ---- the file ---- */

/* A file that shrinks gives an early end and nothing else. */
static freshet_status check_end(freshet_bytes* file, freshet_error* error) {
  struct stat facts;
  if (file->size_bytes <= 0 || fstat(file->descriptor, &facts) != 0) return FRESHET_OK;
  double now = (double)facts.st_size;
  if (now > file->size_bytes) file->grown_bytes = now - file->size_bytes;
  if (now >= file->size_bytes) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                           "the file has become shorter while it was read (%.0f bytes, then %.0f)",
                           file->size_bytes, now);
}

/* Puts more bytes behind those that are left; none come at the end. */
static freshet_status fill_raw(freshet_bytes* file, freshet_error* error) {
  if (file->raw_ended) return FRESHET_OK;
  if (file->raw_at > 0) {
    memmove(file->raw, file->raw + file->raw_at, file->raw_end - file->raw_at);
    file->raw_end -= file->raw_at;
    file->raw_at = 0;
  }
  ssize_t got;
  do {
    got = read(file->descriptor, file->raw + file->raw_end, RAW_BYTES - file->raw_end);
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    return freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "the file cannot be read: %s", strerror(errno));
  }
  file->raw_end += (size_t)got;
  file->read_bytes += (double)got;
  file->raw_ended = got == 0;
  return got == 0 ? check_end(file, error) : FRESHET_OK;
}

static freshet_status read_plain(freshet_bytes* file, void* bytes, size_t size, size_t* got,
                                 freshet_error* error) {
  freshet_status status = FRESHET_OK;
  if (file->raw_at == file->raw_end) status = fill_raw(file, error);
  size_t left = file->raw_end - file->raw_at;
  *got = left < size ? left : size;
  memcpy(bytes, file->raw + file->raw_at, *got);
  file->raw_at += *got;
  return status;
}

/* ---- gzip ---- */

static freshet_status broken_gzip(freshet_error* error) {
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "the gzip stream is broken or cut off");
}

/* Another member may follow; zeros and other bytes behind the last one mean nothing. */
static freshet_status next_member(freshet_bytes* file, bool* more, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  while (status == FRESHET_OK && file->raw_end - file->raw_at < 2 && !file->raw_ended)
    status = fill_raw(file, error);
  const uint8_t* at = file->raw + file->raw_at;
  *more = status == FRESHET_OK && file->raw_end - file->raw_at >= 2 && at[0] == 0x1f && at[1] == 0x8b;
  file->member_done = !*more;
  if (*more) inflateReset(&file->inflating);
  return status;
}

static freshet_status read_gzip(freshet_bytes* file, void* bytes, size_t size, size_t* got,
                                freshet_error* error) {
  *got = 0;
  while (*got == 0) {
    freshet_status status = FRESHET_OK;
    if (file->member_done) {
      bool more;
      status = next_member(file, &more, error);
      if (status != FRESHET_OK || !more) return status;
    }
    if (file->raw_at == file->raw_end) status = fill_raw(file, error);
    if (status != FRESHET_OK) return status;
    if (file->raw_at == file->raw_end) return broken_gzip(error);
    z_stream* z = &file->inflating;
    z->next_in = file->raw + file->raw_at;
    z->avail_in = (unsigned)(file->raw_end - file->raw_at);
    z->next_out = bytes;
    z->avail_out = (unsigned)size;
    int code = inflate(z, Z_NO_FLUSH);
    file->raw_at = file->raw_end - z->avail_in;
    *got = size - z->avail_out;
    file->member_done = code == Z_STREAM_END;
    if (code != Z_OK && code != Z_STREAM_END && !(code == Z_BUF_ERROR && *got == 0))
      return broken_gzip(error);
  }
  return FRESHET_OK;
}

/* ---- libarchive ---- */

static ssize_t give_raw(void* context, const void** bytes) {
  freshet_bytes* file = context;
  if (file->raw_at == file->raw_end && fill_raw(file, &file->trouble) != FRESHET_OK) return -1;
  *bytes = file->raw + file->raw_at;
  ssize_t size = (ssize_t)(file->raw_end - file->raw_at);
  file->raw_at = file->raw_end;
  return size;
}

static int64_t seek_raw(void* context, int64_t offset, int whence) {
  freshet_bytes* file = context;
  if (whence == SEEK_CUR) return -1;
  int64_t at = lseek(file->descriptor, offset, whence);
  file->raw_at = file->raw_end = 0;
  file->raw_ended = false;
  return at;
}

static freshet_status read_archive(freshet_bytes* file, void* bytes, size_t size, size_t* got,
                                   freshet_error* error) {
  freshet_error why = {0};
  freshet_status status = freshet_archive_read(file->archive, bytes, size, got, &why);
  if (status == FRESHET_OK) return status;
  const freshet_error* cause = file->trouble.message[0] != '\0' ? &file->trouble : &why;
  return freshet_error_set(error, cause->status, FRESHET_STOP, "%s", cause->message);
}

static freshet_status read_unpacked(freshet_bytes* file, void* bytes, size_t size, size_t* got,
                                    freshet_error* error) {
  if (file->archive != NULL) return read_archive(file, bytes, size, got, error);
  return file->is_gzip ? read_gzip(file, bytes, size, got, error) : read_plain(file, bytes, size, got, error);
}

/* ---- character set ---- */

static freshet_status fill_coded(freshet_bytes* file, freshet_error* error) {
  memmove(file->coded, file->coded + file->coded_at, file->coded_end - file->coded_at);
  file->coded_end -= file->coded_at;
  file->coded_at = 0;
  size_t got = 0;
  freshet_status status =
      read_unpacked(file, file->coded + file->coded_end, RAW_BYTES - file->coded_end, &got, error);
  file->coded_end += got;
  file->coded_ended = status == FRESHET_OK && got == 0;
  return status;
}

/* Skips what is no character of the encoding. */
static void skip_bad(freshet_bytes* file, char** out, size_t* room) {
  size_t left = file->coded_end - file->coded_at;
  file->coded_at += left < file->unit_bytes ? left : file->unit_bytes;
  *(*out)++ = (char)0xff;
  --*room;
}

static freshet_status read_decoded(freshet_bytes* file, void* bytes, size_t size, size_t* got,
                                   freshet_error* error) {
  if (file->converter == (iconv_t)-1) return read_unpacked(file, bytes, size, got, error);
  char* out = bytes;
  size_t room = size;
  bool starved = file->coded_at == file->coded_end;
  while (room == size) {
    if (starved && file->coded_ended) break;
    if (starved) {
      freshet_status status = fill_coded(file, error);
      if (status != FRESHET_OK) return status;
    }
    char* in = file->coded + file->coded_at;
    size_t left = file->coded_end - file->coded_at;
    errno = 0;
    size_t code = left == 0 ? 0 : iconv(file->converter, &in, &left, &out, &room);
    file->coded_at = file->coded_end - left;
    bool is_bad = code == (size_t)-1 && (errno == EILSEQ || (errno == EINVAL && file->coded_ended));
    if (is_bad && room > 0) skip_bad(file, &out, &room);
    starved = file->coded_at == file->coded_end || errno == EINVAL;
  }
  *got = size - room;
  return FRESHET_OK;
}

static freshet_status open_encoding(freshet_bytes* file, const char* encoding, freshet_error* error) {
  file->unit_bytes = 1;
  if (encoding == NULL || strcasecmp(encoding, "utf-8") == 0 || strcasecmp(encoding, "utf8") == 0)
    return FRESHET_OK;
  bool two = strncasecmp(encoding, "utf-16", 6) == 0 || strncasecmp(encoding, "ucs-2", 5) == 0;
  bool four = strncasecmp(encoding, "utf-32", 6) == 0 || strncasecmp(encoding, "ucs-4", 5) == 0;
  file->unit_bytes = two ? 2 : four ? 4 : 1;
  file->converter = iconv_open("UTF-8", encoding);
  if (file->converter != (iconv_t)-1) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                           "encoding '%s' is not known; `iconv -l` lists those of this machine", encoding);
}

/* ---- opening ---- */

static freshet_status open_wrapping(freshet_bytes* file, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  while (status == FRESHET_OK && file->raw_end < MAGIC_BYTES && !file->raw_ended)
    status = fill_raw(file, error);
  if (status != FRESHET_OK) return status;
  freshet_slice first = {(const char*)file->raw, file->raw_end};
  if (first.size >= 2 && file->raw[0] == 0x1f && file->raw[1] == 0x8b) {
    file->is_gzip = true;
    FRESHET_ASSERT(inflateInit2(&file->inflating, GZIP_WINDOW) == Z_OK);
  } else if (freshet_archive_kind(first) != NULL) {
    freshet_archive_source source = {.context = file,
                                     .path = file->path,
                                     .is_zip = strcmp(freshet_archive_kind(first), "zip") == 0,
                                     .read = give_raw,
                                     .seek = file->regular ? seek_raw : NULL};
    if (file->regular && seek_raw(file, 0, SEEK_SET) != 0) {
      return freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "%s cannot be sought", file->path);
    }
    return freshet_archive_open(&source, &file->archive, error);
  }
  return FRESHET_OK;
}

static freshet_status open_file(freshet_bytes* file, freshet_error* error) {
  struct stat facts;
  file->descriptor =
      strcmp(file->path, "-") == 0 ? dup(STDIN_FILENO) : open(file->path, O_RDONLY | O_CLOEXEC);
  if (file->descriptor < 0 || fstat(file->descriptor, &facts) != 0) {
    return freshet_error_set(error, FRESHET_NOT_FOUND, FRESHET_STOP, "cannot open %s: %s", file->path,
                             strerror(errno));
  }
  if (S_ISDIR(facts.st_mode)) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "%s is a folder; --format names a data set that comes as one", file->path);
  }
  file->regular = S_ISREG(facts.st_mode) && lseek(file->descriptor, 0, SEEK_CUR) == 0;
  if (file->regular) file->size_bytes = (double)facts.st_size;
  return FRESHET_OK;
}

freshet_status freshet_bytes_open(const char* path, const char* encoding, freshet_bytes** out,
                                  freshet_error* error) {
  *out = NULL;
  freshet_bytes* file = calloc(1, sizeof *file);
  FRESHET_ASSERT(file != NULL);
  file->path = path;
  file->descriptor = -1;
  file->converter = (iconv_t)-1;
  freshet_status status = open_file(file, error);
  if (status == FRESHET_OK) status = open_encoding(file, encoding, error);
  if (status == FRESHET_OK) status = open_wrapping(file, error);
  if (status != FRESHET_OK) {
    freshet_bytes_close(file);
    return status;
  }
  *out = file;
  return FRESHET_OK;
}

void freshet_bytes_close(freshet_bytes* file) {
  if (file == NULL) return;
  freshet_archive_close(file->archive);
  if (file->is_gzip) inflateEnd(&file->inflating);
  if (file->converter != (iconv_t)-1) iconv_close(file->converter);
  if (file->descriptor >= 0) close(file->descriptor);
  freshet_buffer_free(&file->head);
  free(file);
}

/* ---- reading ---- */

freshet_status freshet_bytes_head(freshet_bytes* file, freshet_slice* head, freshet_error* error) {
  freshet_status status = FRESHET_OK;
  for (size_t got = 1; status == FRESHET_OK && got > 0 && file->head.size < FRESHET_BYTES_HEAD;) {
    size_t room = FRESHET_BYTES_HEAD - file->head.size;
    uint8_t* bytes = freshet_buffer_reserve(&file->head, room);
    status = read_decoded(file, bytes, room, &got, error);
    file->head.size += got;
  }
  *head = freshet_buffer_slice(&file->head);
  /* What is broken after some good bytes is told when reading comes there. */
  if (status == FRESHET_INVALID && file->head.size > 0) {
    if (error != NULL) freshet_error_clear(error);
    return FRESHET_OK;
  }
  return status;
}

freshet_status freshet_bytes_read(freshet_bytes* file, void* bytes, size_t size, size_t* got,
                                  freshet_error* error) {
  if (file->head_at == file->head.size) return read_decoded(file, bytes, size, got, error);
  size_t left = file->head.size - file->head_at;
  *got = left < size ? left : size;
  memcpy(bytes, file->head.data + file->head_at, *got);
  file->head_at += *got;
  return FRESHET_OK;
}

double freshet_bytes_progress(const freshet_bytes* file) {
  if (file->size_bytes <= 0) return 0;
  double left = file->archive == NULL ? (double)(file->raw_end - file->raw_at) : 0;
  double share = (file->read_bytes - left) / file->size_bytes;
  return share < 0 ? 0 : share > 1 ? 1 : share;
}

bool freshet_bytes_grown(const freshet_bytes* file) {
  return file->grown_bytes > 0;
}
