/* Every function of operator_api.h, used and misused. Input `check` is 4 MB of bytes with metadata; it goes on to `out` by the Arrow C Data
 * Interface, with its metadata. */
#include "operator_api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(what)                                                              \
    do {                                                                         \
        if (!(what)) {                                                           \
            return (OnEventResult_t){dora_error("not true: " #what), 0};         \
        }                                                                        \
    } while (0)

static Vec_uint8_t kept;

DoraInitResult_t dora_init_operator(void) {
    return (DoraInitResult_t){dora_error(NULL), &kept};
}

DoraResult_t dora_drop_operator(void *operator_context) {
    /* Data may be kept after the call. */
    printf("says: kept %zu bytes, the last is %d\n", kept.len, kept.len > 0 ? kept.ptr[kept.len - 1] : -1);
    fflush(stdout);
    dora_free_data(kept);
    return dora_error(operator_context == &kept ? NULL : "another context");
}

static int refused(DoraResult_t result) {
    int is_error = result.error != NULL && result.error->len > 0;
    dora_free_result(result);
    return is_error;
}

OnEventResult_t dora_on_event(RawEvent_t *event, const SendOutput_t *send, void *operator_context) {
    (void)operator_context;
    if (event->input == NULL) {
        return (OnEventResult_t){{NULL}, DORA_STATUS_CONTINUE};
    }
    struct ArrowArray array;
    struct ArrowSchema schema;
    char *id = dora_read_input_id(event->input);
    CHECK(id != NULL && strcmp(id, "check") == 0);
    dora_free_input_id(id);
    dora_free_input_id(NULL);
    CHECK(dora_read_input_id(NULL) == NULL);
    CHECK(dora_input_type(event->input) == DORA_TYPE_UINT8 && dora_input_type(NULL) == DORA_TYPE_NOT_FLAT);
    dora_free_data(kept);
    kept = dora_read_data(event->input);
    CHECK(kept.ptr != NULL && kept.len == 4u << 20 && kept.ptr[0] == 7);
    CHECK(dora_read_data(event->input).ptr == NULL);
    CHECK(dora_read_values(NULL).ptr == NULL);

    Vec_uint8_t metadata = dora_input_metadata(event->input);
    CHECK(metadata.ptr != NULL && metadata.ptr[0] == '{' && metadata.ptr[metadata.len - 1] == '}');
    CHECK(metadata.len > strlen("{\"address\":"));
    dora_free_data(metadata);
    CHECK(dora_input_metadata(NULL).ptr == NULL);

    CHECK(refused(dora_send_operator_output(NULL, "out", NULL, 0)));
    CHECK(refused(dora_send_operator_output(send, NULL, NULL, 0)));
    CHECK(refused(dora_send_operator_output(send, "small", NULL, 3)));
    CHECK(refused(dora_send_operator_values(send, "small", DORA_TYPE_FLOAT64, "abc", 3, NULL, NULL)));
    CHECK(refused(dora_send_operator_values(send, "small", 77, "abc", 3, NULL, NULL)));
    CHECK(refused(dora_send_operator_values(send, "small", DORA_TYPE_UINT8, "abc", 3, "no json", NULL)));
    CHECK(refused(dora_send_operator_output(send, "\xff\xff", NULL, 0)));
    CHECK(refused(dora_input_export(event->input, NULL, &schema)));
    CHECK(!refused(dora_send_operator_output(send, "small", NULL, 0)));
    CHECK(!refused(dora_send_operator_values(send, "small", DORA_TYPE_UINT8, "abc", 3, "{\"k\": 5}", event->input)));

    CHECK(!refused(dora_input_export(event->input, &array, &schema)));
    CHECK(array.length == 4 << 20 && strcmp(schema.format, "C") == 0 && array.buffers[1] == kept.ptr);
    CHECK(!refused(dora_send_operator_arrow(send, "out", &array, &schema, NULL, event->input)));
    CHECK(array.release == NULL && schema.release == NULL);
    /* What was taken over cannot be sent again. */
    CHECK(refused(dora_send_operator_arrow(send, "out", &array, &schema, NULL, NULL)));
    return (OnEventResult_t){{NULL}, DORA_STATUS_CONTINUE};
}
