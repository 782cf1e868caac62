/* What crosses the boundary between a dora runtime and an operator: plain structures, version 1.
 *
 * 1. Memory that changes hands (errors, texts) is of malloc; the functions of operator_api.h free it.
 * 2. A received buffer is kept alive by its message. dora_free_data lets go of it.
 * 3. Fields are only ever added at the end of a structure.
 *
 * The twin of this file is src/abi.rs. */
#ifndef DORA_OPERATOR_TYPES_H
#define DORA_OPERATOR_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DORA_OPERATOR_ABI 1u

/* The Arrow C Data Interface, as its specification has it. */
#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4

struct ArrowSchema {
    const char *format;
    const char *name;
    const char *metadata;
    int64_t flags;
    int64_t n_children;
    struct ArrowSchema **children;
    struct ArrowSchema *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length;
    int64_t null_count;
    int64_t offset;
    int64_t n_buffers;
    int64_t n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};
#endif /* ARROW_C_DATA_INTERFACE */

/* Types of flat values: numbers, one after another, without nulls. */
enum {
    DORA_TYPE_NULL = 0,
    DORA_TYPE_UINT8 = 1,
    DORA_TYPE_UINT16 = 2,
    DORA_TYPE_UINT32 = 3,
    DORA_TYPE_UINT64 = 4,
    DORA_TYPE_INT8 = 5,
    DORA_TYPE_INT16 = 6,
    DORA_TYPE_INT32 = 7,
    DORA_TYPE_INT64 = 8,
    DORA_TYPE_FLOAT32 = 9,
    DORA_TYPE_FLOAT64 = 10
};
/* Everything else: dora_input_export has it. */
#define DORA_TYPE_NOT_FLAT UINT32_MAX

/* Bytes. `cap` is 0 when they are of malloc, otherwise it is the message that they belong to. */
typedef struct Vec_uint8 {
    uint8_t *ptr;
    size_t len;
    size_t cap;
} Vec_uint8_t;

/* NULL: no error. */
typedef struct DoraResult {
    Vec_uint8_t *error;
} DoraResult_t;

typedef struct DoraInitResult {
    DoraResult_t result;
    void *operator_context;
} DoraInitResult_t;

typedef uint8_t DoraStatus_t;
enum {
    DORA_STATUS_CONTINUE = 0, /* the next event */
    DORA_STATUS_STOP = 1,     /* this operator is done; its outputs close */
    DORA_STATUS_STOP_ALL = 2  /* the whole dataflow shall stop */
};

typedef struct OnEventResult {
    DoraResult_t result;
    DoraStatus_t status;
} OnEventResult_t;

typedef struct Metadata {
    Vec_uint8_t open_telemetry_context;
} Metadata_t;

/* A message, and what can be done with it on any thread. Internal. */
typedef struct DoraMessage DoraMessage_t;
typedef struct DoraMessageFunctions {
    void (*retain)(DoraMessage_t *message);
    void (*release)(DoraMessage_t *message);
    DoraResult_t (*export_)(DoraMessage_t *message, struct ArrowArray *array, struct ArrowSchema *schema);
    Vec_uint8_t (*parameters)(DoraMessage_t *message, uint32_t format);
} DoraMessageFunctions_t;
struct DoraMessage {
    const DoraMessageFunctions_t *functions;
};

/* A message at an input; lives as long as the call. Opaque: use the functions of operator_api.h. */
typedef struct Input {
    uint32_t version;
    uint32_t type_id;
    const char *id;
    size_t id_len;
    const uint8_t *data;
    size_t len;
    DoraMessage_t *message;
    bool taken;
} Input_t;

/* What is sent. Opaque: use the functions of operator_api.h. */
typedef struct Output {
    uint32_t version;
    uint32_t type_id;
    const char *id;
    size_t id_len;
    const uint8_t *data;
    size_t len;
    struct ArrowArray *array;
    struct ArrowSchema *schema;
    const uint8_t *parameters;
    size_t parameters_len;
    uint32_t parameters_format;
    DoraMessage_t *forward;
} Output_t;

/* What happened. Several may be set. */
typedef struct RawEvent {
    Input_t *input;           /* a message, or NULL */
    Vec_uint8_t input_closed; /* name of an input on which nothing more comes; ptr NULL: none */
    bool stop;                /* the operator shall end */
    Vec_uint8_t error;        /* a message could not be read: why; ptr NULL: none */
    Vec_uint8_t error_input;  /* and at which input */
} RawEvent_t;

/* Sends. Valid during the call only, on its thread. */
typedef struct SendOutput {
    void *env_ptr;
    DoraResult_t (*call)(void *env_ptr, Output_t *output);
    void (*release)(void *env_ptr);
    void (*retain)(void *env_ptr);
} SendOutput_t;

/* Real-time operators: handles that are looked up once, views in place, loans from buffers that are made at the start. */

typedef struct DoraRtSetup {
    uint32_t version;
    void *env_ptr;
    /* Number of an input; negative when there is none. */
    int64_t (*input)(void *env_ptr, const char *name, size_t name_len, uint32_t type_id);
    /* Number of an output whose messages have at most `most` values; negative when there is none. */
    int64_t (*output)(void *env_ptr, const char *name, size_t name_len, uint32_t type_id, size_t most);
    /* Why the last call gave a negative number; free it with dora_free_data. */
    Vec_uint8_t (*why)(void *env_ptr);
} DoraRtSetup_t;

enum {
    DORA_RT_INPUT = 0,        /* a message; a tick is one uint64 */
    DORA_RT_INPUT_CLOSED = 1, /* nothing more comes at this input */
    DORA_RT_STOP = 2,         /* the operator shall end */
    DORA_RT_WRONG_TYPE = 3    /* a message of another type than was asked for; it was dropped */
};

typedef struct DoraRtEvent {
    uint32_t version;
    uint32_t kind;
    uint32_t input;
    uint32_t type_id;
    const uint8_t *data; /* in place, at least 8-byte aligned; valid during the call */
    size_t len;          /* bytes */
    uint64_t tag_time_ns;
    uint64_t missed; /* ticks that were missed before this one */
    uint32_t microstep;
} DoraRtEvent_t;

typedef struct DoraRtOutbox {
    uint32_t version;
    void *env_ptr;
    /* Memory for a message of `len` bytes, 64-byte aligned; NULL when it is too large or all buffers are in use. */
    uint8_t *(*loan)(void *env_ptr, uint32_t output, size_t len);
    /* Sends the first `len` bytes of it. 0, or 1 unknown output, 2 too large, 3 no buffer, 4 a reader is full. */
    uint32_t (*publish)(void *env_ptr, uint32_t output, size_t len);
} DoraRtOutbox_t;

#ifdef __cplusplus
}
#endif

#endif /* DORA_OPERATOR_TYPES_H */
