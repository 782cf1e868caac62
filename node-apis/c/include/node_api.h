/* The dora node API for C.
 *
 * A node joins its dataflow, takes events and sends outputs:
 *
 *     void *ctx = init_dora_context_from_env();
 *     void *event;
 *     while ((event = dora_next_event(ctx)) != NULL) {
 *         if (read_dora_event_type(event) == DoraEventType_Input) {
 *             char *data;
 *             size_t len;
 *             read_dora_input_data(event, &data, &len);
 *             dora_send_output(ctx, "copy", strlen("copy"), data, len);
 *         }
 *         free_dora_event(event);
 *     }
 *     free_dora_context(ctx);
 *
 * Handles. Contexts, events, metadata and loans are handles: never look behind them. A wrong one (null, freed, of another
 * kind, a pointer of your own) is an error, not a crash. The one thing that cannot be found is a thread that uses a handle
 * at the same moment in which another frees it.
 *
 * Threads. A context has two halves: receiving (dora_next_event and its kin, waiting for replies) and sending (outputs, loans,
 * closing). Each is for one thread at a time; a second thread gets DoraStatus_Busy. One thread may wait for events while
 * another sends. An event may be read by several threads. Logging, and asking what a node knows about itself, is free.
 *
 * Errors. Functions that return `int` and say nothing else return a number of enum DoraStatus: 0, or a negative one.
 * dora_last_error() has a sentence for the last call on this thread that failed.
 *
 * Text is UTF-8 with a length in bytes; it does not end with a zero unless a function says so. What a function gives out
 * through `out` is borrowed from the handle that it was read from, and ends with it.
 *
 * Times without a unit in their name are nanoseconds.
 */
#ifndef DORA_NODE_API_H
#define DORA_NODE_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The structs of the Arrow C data interface, as it lays them down; the guard is that of the standard. */
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

/* How a call went. */
enum DoraStatus {
    DoraStatus_Ok = 0,
    /* Not done, for the reason in dora_last_error(). */
    DoraStatus_Failed = -1,
    /* An argument cannot be what it is: null, no UTF-8, not aligned, no name. */
    DoraStatus_InvalidArgument = -2,
    /* Not a handle of this kind, or one that was freed. */
    DoraStatus_InvalidHandle = -3,
    /* Another thread is using this half of the context. */
    DoraStatus_Busy = -4,
    /* There, but of another type. */
    DoraStatus_WrongType = -5,
    DoraStatus_NotFound = -6,
    DoraStatus_Timeout = -7,
    /* The event stream has ended. */
    DoraStatus_Closed = -8,
    /* A defect of the library. */
    DoraStatus_Panic = -9,
    /* No event is there now. */
    DoraStatus_Empty = -10,
    /* While a reply was awaited: */
    DoraStatus_ServerRestarted = -11,
    DoraStatus_ServerGone = -12,
    DoraStatus_StreamError = -13
};

/* dora-node-api.h, which has a C++ enumeration of that name, sets another one. */
#ifndef DORA_EVENT_TYPE
#define DORA_EVENT_TYPE DoraEventType
#endif

/* What happened. */
enum DORA_EVENT_TYPE {
    /* The node shall end: what is queued still comes, then dora_next_event returns NULL. */
    DoraEventType_Stop = 0,
    DoraEventType_Input = 1,
    /* Nothing more comes at this input; everything that was queued has been delivered. */
    DoraEventType_InputClosed = 2,
    DoraEventType_Error = 3,
    DoraEventType_Unknown = 4,
    /* 5, 6 and 7 are for C++, where the end of the stream, nothing, and a time that is over are events. */
    DoraEventType_AllInputsClosed = 5,
    DoraEventType_Empty = 6,
    DoraEventType_Timeout = 7,
    /* A node that sends to this one failed for good; DoraEventType_InputClosed follows for each input. */
    DoraEventType_NodeFailed = 8,
    DoraEventType_Reload = 9,
    /* An input that was closed by its timeout has a message again. */
    DoraEventType_InputRecovered = 10,
    /* A node that sends to this one was started again. */
    DoraEventType_NodeRestarted = 11,
    DoraEventType_ParamUpdate = 12,
    DoraEventType_ParamDeleted = 13
};

/* Types of plain numbers, in the byte order of the machine. */
enum DoraNumberType {
    DoraNumberType_UInt8 = 1,
    DoraNumberType_UInt16 = 2,
    DoraNumberType_UInt32 = 3,
    DoraNumberType_UInt64 = 4,
    DoraNumberType_Int8 = 5,
    DoraNumberType_Int16 = 6,
    DoraNumberType_Int32 = 7,
    DoraNumberType_Int64 = 8,
    DoraNumberType_Float32 = 9,
    DoraNumberType_Float64 = 10
};

/* Types of parameters. */
enum DoraMetadataType {
    DoraMetadataType_Bool = 0,
    DoraMetadataType_Integer = 1,
    DoraMetadataType_Float = 2,
    DoraMetadataType_String = 3,
    DoraMetadataType_ListInt = 4,
    DoraMetadataType_ListFloat = 5,
    DoraMetadataType_ListString = 6,
    DoraMetadataType_Timestamp = 7
};

/* Names of parameters with a meaning. */
#define DORA_REQUEST_ID "request_id"
#define DORA_GOAL_ID "goal_id"
#define DORA_GOAL_STATUS "goal_status"
#define DORA_GOAL_STATUS_SUCCEEDED "succeeded"
#define DORA_GOAL_STATUS_ABORTED "aborted"
#define DORA_GOAL_STATUS_CANCELED "canceled"
#define DORA_SESSION_ID "session_id"
#define DORA_SEGMENT_ID "segment_id"
#define DORA_SEQ "seq"
#define DORA_FIN "fin"
#define DORA_FLUSH "flush"

/* --- The last failure on this thread --------------------------------------------------------------------------------- */

/* A number of enum DoraStatus; 0 when no call has failed yet. */
int dora_last_error_code(void);
/* A sentence that ends with a zero; empty when no call has failed yet. Valid until the next failure on this thread. */
const char *dora_last_error(void);
/* Version of the library; ends with a zero. */
const char *dora_version(void);

/* --- Joining and leaving --------------------------------------------------------------------------------------------- */

/* Joins the dataflow that started this process and waits until all of its nodes are ready. NULL for a failure, which is
 * also printed. With DORA_TEST_WITH_INPUTS set to a file of events the node runs alone. */
void *init_dora_context_from_env(void);
/* As the node of this name: of the dataflow that started this process, or else of one that runs. NULL for a failure. */
void *init_dora_context_from_node_id(const char *id, size_t id_len);
/* Closes the outputs and leaves. Once per context. While another thread uses the context it is not freed; dora_leave
 * says so. */
void free_dora_context(void *dora_context);
/* As free_dora_context, and says how it went. */
int dora_leave(void *dora_context);

/* --- What a node knows about itself; valid until the context is freed ------------------------------------------------ */

int dora_node_id(void *dora_context, const char **out, size_t *len);
int dora_dataflow_id(void *dora_context, const char **out, size_t *len);
/* Inputs and outputs, as JSON. */
int dora_node_config_json(void *dora_context, const char **out, size_t *len);
/* The descriptor, as JSON. It may hold what the environment of nodes holds. DoraStatus_NotFound in a test. */
int dora_dataflow_descriptor_json(void *dora_context, const char **out, size_t *len);
/* How often the node was restarted after it failed; -1 for a failure. */
int64_t dora_restart_count(void *dora_context);
/* A new point on the hybrid logical clock (NTP64), later than all before; 0 for a failure. */
unsigned long long dora_timestamp(void *dora_context);

/* --- Receiving ------------------------------------------------------------------------------------------------------- */

/* Waits for the next event. NULL when the stream has ended, and for a failure: dora_last_error_code() is
 * DoraStatus_Closed or something else. */
void *dora_next_event(void *dora_context);
/* At most this long; a negative time is for ever. DoraStatus_Timeout, DoraStatus_Closed. */
int dora_next_event_timeout(void *dora_context, int64_t timeout_ns, void **event);
/* Does not wait. DoraStatus_Empty, DoraStatus_Closed. */
int dora_try_next_event(void *dora_context, void **event);
/* 1 when there is no event now, 0 when there is one, -1 for a failure. */
int dora_events_empty(void *dora_context);
/* For poll and epoll: a file descriptor that is readable when there may be an event. Then call dora_try_next_event until it
 * says DoraStatus_Empty. It belongs to the context: do not read from it or close it. -1 for a failure. */
int dora_event_fd(void *dora_context);
/* Calls `each` for every input that lost messages since the last call, because its queue was full or flushed. */
int dora_take_drop_counts(void *dora_context,
                          void (*each)(void *user, const char *input, size_t input_len, uint64_t count), void *user);

/* Once per event. Everything that was borrowed from it is gone, except what dora_export_input gave out. */
void free_dora_event(void *dora_event);

/* --- What is in an event --------------------------------------------------------------------------------------------- */

enum DORA_EVENT_TYPE read_dora_event_type(void *dora_event);
/* Name of the input; NULL and 0 when the event is no input. */
void read_dora_input_id(void *dora_event, char **out, size_t *len);
/* The bytes of an array of bytes, in place. NULL and 0 when it is empty, when the event is no input, and for arrays of
 * other types (which is logged). Not for writing. */
void read_dora_input_data(void *dora_event, char **out, size_t *len);
/* When the input was sent: hybrid logical clock, NTP64. 0 when the event is no input. */
unsigned long long read_dora_input_timestamp(void *dora_event);

/* As read_dora_input_data, and says how it went; nothing is logged. Ticks of timers are empty. */
int dora_input_bytes(void *dora_event, const uint8_t **out, size_t *len);
/* The values of an array of numbers without nulls, in place: a type of enum DoraNumberType, where they are, how many. A tick
 * of a timer is one UInt64, its number. */
int dora_input_values(void *dora_event, uint32_t *number_type, const void **out, size_t *count);
/* The text of an array of one string. */
int dora_input_text(void *dora_event, const char **out, size_t *len);
/* Name of the Arrow type, for messages. */
int dora_input_type(void *dora_event, const char **out, size_t *len);
/* The array, of any type, in place, in two structs of the caller's. It outlives the event; call both `release` functions
 * when done. Not for writing. */
int dora_export_input(void *dora_event, struct ArrowArray *array, struct ArrowSchema *schema);
/* Ticks of a timer that passed while the node was busy; -1 when the event is no input. */
int64_t dora_missed_ticks(void *dora_event);

/* The input, node, parameter or operator that an event is about. */
int dora_event_id(void *dora_event, const char **out, size_t *len);
/* What went wrong: of DoraEventType_Error and DoraEventType_NodeFailed. */
int dora_event_error(void *dora_event, const char **out, size_t *len);
/* The new value of a parameter, as JSON: of DoraEventType_ParamUpdate. */
int dora_event_value_json(void *dora_event, const char **out, size_t *len);
/* 0: somebody stopped the dataflow. 1: all inputs are closed. -1: the event is no stop. */
int dora_stop_cause(void *dora_event);
/* The `index`th input that a failed node fed: of DoraEventType_NodeFailed. DoraStatus_NotFound behind the last. */
int dora_affected_input(void *dora_event, size_t index, const char **out, size_t *len);

/* --- Metadata, read: `source` is an input event, or metadata --------------------------------------------------------- */

/* Number of parameters; -1 for a failure. */
int64_t dora_metadata_count(const void *source);
/* Name of the `index`th, in alphabetical order. */
int dora_metadata_key(const void *source, size_t index, const char **out, size_t *len);
/* A number of enum DoraMetadataType, or a negative one of enum DoraStatus. */
int dora_metadata_type(const void *source, const char *key, size_t key_len);
/* DoraStatus_NotFound when there is none of this name, DoraStatus_WrongType when it is something else. */
int dora_metadata_get_bool(const void *source, const char *key, size_t key_len, bool *out);
int dora_metadata_get_int(const void *source, const char *key, size_t key_len, int64_t *out);
int dora_metadata_get_float(const void *source, const char *key, size_t key_len, double *out);
int dora_metadata_get_string(const void *source, const char *key, size_t key_len, const char **out, size_t *len);
int dora_metadata_get_list_int(const void *source, const char *key, size_t key_len, const int64_t **out, size_t *count);
int dora_metadata_get_list_float(const void *source, const char *key, size_t key_len, const double **out, size_t *count);
/* The `index`th text of a list; `count` (which may be NULL) is how many there are, also behind the last. */
int dora_metadata_get_list_string(const void *source, const char *key, size_t key_len, size_t index, const char **out,
                                  size_t *len, size_t *count);
/* Nanoseconds since 1970. */
int dora_metadata_get_timestamp(const void *source, const char *key, size_t key_len, int64_t *out);
/* All as a JSON object, or, with a key, one of them. Valid until the next call of this on the same thread. */
int dora_metadata_json(const void *source, const char *key, size_t key_len, const char **out, size_t *len);
/* When the input was sent; 0 when this is of no input. */
unsigned long long dora_metadata_timestamp(const void *source);

/* --- Metadata, written ----------------------------------------------------------------------------------------------- */

void *dora_new_metadata(void);
/* A copy, to be changed and sent. A reply passes on a copy of the metadata of its request. */
void *dora_copy_metadata(const void *source);
int dora_free_metadata(void *metadata);
/* Names that start with `_` belong to dora and are refused. */
int dora_metadata_set_bool(void *metadata, const char *key, size_t key_len, bool value);
int dora_metadata_set_int(void *metadata, const char *key, size_t key_len, int64_t value);
int dora_metadata_set_float(void *metadata, const char *key, size_t key_len, double value);
int dora_metadata_set_string(void *metadata, const char *key, size_t key_len, const char *value, size_t len);
int dora_metadata_set_list_int(void *metadata, const char *key, size_t key_len, const int64_t *values, size_t count);
int dora_metadata_set_list_float(void *metadata, const char *key, size_t key_len, const double *values, size_t count);
int dora_metadata_set_list_string(void *metadata, const char *key, size_t key_len, const char *const *values,
                                  const size_t *lens, size_t count);
int dora_metadata_set_timestamp(void *metadata, const char *key, size_t key_len, int64_t ns);
int dora_metadata_remove(void *metadata, const char *key, size_t key_len);

/* --- Sending: `metadata` is metadata, an input event (its parameters are passed on), or NULL ------------------------- */

/* Sends bytes; (NULL, 0) is an empty message. 0, or -1. What is sent to an undeclared output is ignored, with one
 * warning. One copy; waits only for a full reader with `queue_policy: backpressure`. */
int dora_send_output(void *dora_context, const char *id, size_t id_len, const char *data, size_t data_len);
int dora_send_output_with_metadata(void *dora_context, const char *id, size_t id_len, const char *data, size_t data_len,
                                   const void *metadata);
/* Sends numbers of a type of enum DoraNumberType. */
int dora_send_values(void *dora_context, const char *id, size_t id_len, uint32_t number_type, const void *values,
                     size_t count, const void *metadata);
/* Sends an array of one string. */
int dora_send_text(void *dora_context, const char *id, size_t id_len, const char *text, size_t len, const void *metadata);
/* Sends an array of any type. When that worked both structs were released; otherwise they are still yours. */
int dora_send_arrow(void *dora_context, const char *id, size_t id_len, struct ArrowArray *array,
                    struct ArrowSchema *schema, const void *metadata);
/* Room for numbers in the memory of the output itself: write to `values`, then send, and nothing is copied. What is there at
 * first is unspecified. */
int dora_loan_output(void *dora_context, const char *id, size_t id_len, uint32_t number_type, size_t count, void **loan,
                     void **values);
/* The loan is gone afterwards, also when the send failed; only after DoraStatus_Busy and for wrong metadata it is not. */
int dora_send_loan(void *loan, const void *metadata);
int dora_discard_loan(void *loan);
/* Waits until a send would not wait for a `backpressure` reader; 0 asks only. DoraStatus_Timeout. Returns early, with the
 * same, when a signal handler has run. */
int dora_wait_for_room(void *dora_context, const char *id, size_t id_len, int64_t timeout_ns);
/* Closes outputs: readers are told once they have read what is queued. All of them, or, for a failure, none. */
int dora_close_outputs(void *dora_context, const char *const *ids, const size_t *id_lens, size_t count);

/* --- Requests and goals ---------------------------------------------------------------------------------------------- */

/* Writes a new name for a request or a goal: 36 characters and a zero. */
int dora_new_request_id(char out[37]);
/* Waits for the input with this `request_id`. Everything else that happens meanwhile comes later, in order.
 * DoraStatus_Timeout, DoraStatus_ServerRestarted, DoraStatus_ServerGone, DoraStatus_Closed, DoraStatus_StreamError. */
int dora_recv_service_response(void *dora_context, const char *request_id, size_t request_id_len, const char *server,
                               size_t server_len, int64_t timeout_ns, void **event);
/* Likewise for the input with this `goal_id` and a final `goal_status`. */
int dora_recv_action_result(void *dora_context, const char *goal_id, size_t goal_id_len, const char *server,
                            size_t server_len, int64_t timeout_ns, void **event);

/* --- The log --------------------------------------------------------------------------------------------------------- */

/* Levels: error, warn, info, debug, trace; anything else counts as info. 0, or -1. */
int dora_log(void *dora_context, const char *level, size_t level_len, const char *message, size_t message_len);

struct DoraLogField {
    const char *key;
    size_t key_len;
    const char *value;
    size_t value_len;
};

/* With a target (which part of the program speaks; may be NULL) and fields beside the text. */
int dora_log_with_fields(void *dora_context, const char *level, size_t level_len, const char *message, size_t message_len,
                         const char *target, size_t target_len, const struct DoraLogField *fields, size_t count);

#ifdef __cplusplus
}
#endif

#endif /* DORA_NODE_API_H */
