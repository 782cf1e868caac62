/* Write dora operators in C. Nothing to link: this header is all.
 *
 * An operator is a shared library with three functions:
 *
 *   DoraInitResult_t dora_init_operator(void);
 *   OnEventResult_t  dora_on_event(RawEvent_t *event, const SendOutput_t *send_output, void *operator_context);
 *   DoraResult_t     dora_drop_operator(void *operator_context);
 *
 * A real-time operator, which allocates nothing, has these instead of the first two:
 *
 *   DoraInitResult_t dora_rt_init_operator(DoraRtSetup_t *setup);
 *   DoraStatus_t     dora_rt_on_event(const DoraRtEvent_t *event, const DoraRtOutbox_t *outbox, void *operator_context);
 *
 * The runtime calls them from one thread at a time. What an event points to is valid until dora_on_event returns; data that was
 * read (dora_read_data) until it is freed. It lies where the sender wrote it, perhaps in memory that must not be written. */
#ifndef DORA_OPERATOR_API_H
#define DORA_OPERATOR_API_H

#include <stdlib.h>
#include <string.h>

#include "operator_types.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define DORA_EXPORT __declspec(dllexport)
#else
#define DORA_EXPORT __attribute__((visibility("default")))
#endif

DORA_EXPORT DoraInitResult_t dora_init_operator(void);
DORA_EXPORT DoraResult_t dora_drop_operator(void *operator_context);
DORA_EXPORT OnEventResult_t dora_on_event(RawEvent_t *event, const SendOutput_t *send_output, void *operator_context);
DORA_EXPORT DoraInitResult_t dora_rt_init_operator(DoraRtSetup_t *setup);
DORA_EXPORT DoraStatus_t dora_rt_on_event(const DoraRtEvent_t *event, const DoraRtOutbox_t *outbox, void *operator_context);

/* An error with this text, to be returned to the runtime. NULL: no error. */
static inline DoraResult_t dora_error(const char *text) {
    DoraResult_t result = {NULL};
    Vec_uint8_t *error = NULL;
    size_t len = 0;
    if (text == NULL) {
        return result;
    }
    len = strlen(text);
    error = (Vec_uint8_t *)malloc(sizeof(Vec_uint8_t));
    if (error == NULL) {
        return result;
    }
    error->ptr = (uint8_t *)malloc(len > 0 ? len : 1);
    error->len = error->ptr == NULL ? 0 : len;
    error->cap = 0;
    if (error->ptr != NULL) {
        memcpy(error->ptr, text, len);
    }
    result.error = error;
    return result;
}

/* Frees data that a function of this header gave. Safe on {NULL, 0, 0}. */
static inline void dora_free_data(Vec_uint8_t data) {
    if (data.cap != 0) {
        DoraMessage_t *message = (DoraMessage_t *)data.cap;
        message->functions->release(message);
    } else {
        free(data.ptr);
    }
}

/* Frees an error that is not returned. */
static inline void dora_free_result(DoraResult_t result) {
    if (result.error != NULL) {
        dora_free_data(*result.error);
        free(result.error);
    }
}

/* Name of the input, with a NUL; free it with dora_free_input_id. NULL when there is none. */
static inline char *dora_read_input_id(const Input_t *input) {
    char *id = NULL;
    if (input == NULL || input->id == NULL) {
        return NULL;
    }
    id = (char *)malloc(input->id_len + 1);
    if (id != NULL) {
        memcpy(id, input->id, input->id_len);
        id[input->id_len] = '\0';
    }
    return id;
}

static inline void dora_free_input_id(char *id) {
    free(id);
}

/* Type of the values: DORA_TYPE_…, or DORA_TYPE_NOT_FLAT. */
static inline uint32_t dora_input_type(const Input_t *input) {
    return input == NULL ? DORA_TYPE_NOT_FLAT : input->type_id;
}

/* The values, whatever flat type they have, in place: no copy. `ptr` is NULL when there is no input, when they are not flat, or when they were
 * read before. Free them with dora_free_data, which may be after the call. */
static inline Vec_uint8_t dora_read_values(Input_t *input) {
    Vec_uint8_t data = {NULL, 0, 0};
    if (input == NULL || input->version < DORA_OPERATOR_ABI || input->taken || input->data == NULL) {
        return data;
    }
    input->taken = true;
    input->message->functions->retain(input->message);
    data.ptr = (uint8_t *)(uintptr_t)input->data;
    data.len = input->len;
    data.cap = (size_t)input->message;
    return data;
}

/* As dora_read_values, for bytes only. */
static inline Vec_uint8_t dora_read_data(Input_t *input) {
    Vec_uint8_t data = {NULL, 0, 0};
    if (dora_input_type(input) != DORA_TYPE_UINT8 && dora_input_type(input) != DORA_TYPE_INT8) {
        return data;
    }
    return dora_read_values(input);
}

/* The values by the Arrow C Data Interface, whatever their type; no copy. Both structures are the caller's to release. */
static inline DoraResult_t dora_input_export(const Input_t *input, struct ArrowArray *array, struct ArrowSchema *schema) {
    if (input == NULL || array == NULL || schema == NULL) {
        return dora_error("dora_input_export was called with a null pointer");
    }
    return input->message->functions->export_(input->message, array, schema);
}

/* Parameters of the message as a JSON object (not NUL-terminated); free them with dora_free_data. */
static inline Vec_uint8_t dora_input_metadata(const Input_t *input) {
    Vec_uint8_t none = {NULL, 0, 0};
    return input == NULL ? none : input->message->functions->parameters(input->message, 1);
}

/* Internal. */
static inline Output_t dora_output_(const char *id) {
    Output_t output;
    memset(&output, 0, sizeof output);
    output.version = DORA_OPERATOR_ABI;
    output.type_id = DORA_TYPE_NOT_FLAT;
    output.id = id;
    output.id_len = id == NULL ? 0 : strlen(id);
    return output;
}

/* Sends flat values (`len` in bytes), which are copied once. `metadata` is a JSON object, or NULL; `forward` is an input whose metadata goes
 * along, or NULL. (NULL, 0) is an empty message. */
static inline DoraResult_t dora_send_operator_values(const SendOutput_t *send_output, const char *id, uint32_t type_id,
                                                     const void *data, size_t len, const char *metadata,
                                                     const Input_t *forward) {
    Output_t output = dora_output_(id);
    if (send_output == NULL || send_output->call == NULL || id == NULL) {
        return dora_error("an output was sent with a null pointer");
    }
    if (data == NULL && len > 0) {
        return dora_error("an output was sent without data, but with a length");
    }
    output.type_id = type_id;
    output.data = (const uint8_t *)data;
    output.len = len;
    output.parameters = (const uint8_t *)metadata;
    output.parameters_len = metadata == NULL ? 0 : strlen(metadata);
    output.parameters_format = 1;
    output.forward = forward == NULL ? NULL : forward->message;
    return send_output->call(send_output->env_ptr, &output);
}

/* Sends bytes. */
static inline DoraResult_t dora_send_operator_output(const SendOutput_t *send_output, const char *id, const uint8_t *data,
                                                     size_t len) {
    return dora_send_operator_values(send_output, id, DORA_TYPE_UINT8, data, len, NULL, NULL);
}

/* Sends an array by the Arrow C Data Interface: no copy for readers in the same runtime. Both structures are taken over, also when it fails. */
static inline DoraResult_t dora_send_operator_arrow(const SendOutput_t *send_output, const char *id, struct ArrowArray *array,
                                                    struct ArrowSchema *schema, const char *metadata,
                                                    const Input_t *forward) {
    Output_t output = dora_output_(id);
    if (send_output == NULL || send_output->call == NULL || id == NULL || array == NULL || schema == NULL) {
        return dora_error("an array was sent with a null pointer");
    }
    output.array = array;
    output.schema = schema;
    output.parameters = (const uint8_t *)metadata;
    output.parameters_len = metadata == NULL ? 0 : strlen(metadata);
    output.parameters_format = 1;
    output.forward = forward == NULL ? NULL : forward->message;
    return send_output->call(send_output->env_ptr, &output);
}

#ifdef __cplusplus
}
#endif

#endif /* DORA_OPERATOR_API_H */
