/* Every function of the C API, used as it should be. Run with DORA_TEST_WITH_INPUTS on surface.json. */
#include "check.h"

#include <poll.h>
#include <stdlib.h>

static void *next(void *ctx, const char *input) {
    void *event = dora_next_event(ctx);
    char *id;
    size_t len;
    read_dora_input_id(event, &id, &len);
    CHECK(read_dora_event_type(event) == DoraEventType_Input);
    CHECK(same(id, len, input));
    return event;
}

static void facts(void *ctx) {
    const char *text;
    size_t len;
    CHECK(dora_node_id(ctx, &text, &len) == DoraStatus_Ok && same(text, len, "surface"));
    CHECK(dora_dataflow_id(ctx, &text, &len) == DoraStatus_Ok && len == 36);
    CHECK(dora_node_config_json(ctx, &text, &len) == DoraStatus_Ok && len > 2 && text[0] == '{');
    CHECK(dora_dataflow_descriptor_json(ctx, &text, &len) == DoraStatus_NotFound);
    CHECK(dora_restart_count(ctx) == 0);
    unsigned long long first = dora_timestamp(ctx);
    CHECK(first > 0 && dora_timestamp(ctx) > first);
    CHECK(strlen(dora_version()) >= 5);
    CHECK(dora_log(ctx, TEXT("warn"), TEXT("from C")) == 0);
    struct DoraLogField fields[] = {{TEXT("wheel"), TEXT("left")}, {TEXT("speed"), TEXT("3")}};
    CHECK(dora_log_with_fields(ctx, TEXT("info"), TEXT("with fields"), TEXT("drive"), fields, 2) == DoraStatus_Ok);
    CHECK(dora_log_with_fields(ctx, TEXT("debug"), TEXT("without"), NULL, 0, NULL, 0) == DoraStatus_Ok);
}

/* A tick of a timer: a number, and no bytes. */
static void tick(void *ctx) {
    void *event = next(ctx, "tick");
    char *bytes = "";
    size_t len = 1;
    read_dora_input_data(event, &bytes, &len);
    CHECK(bytes == NULL && len == 0);
    CHECK(dora_missed_ticks(event) == 0);
    CHECK(read_dora_input_timestamp(event) > 0);
    uint32_t type;
    const void *values;
    size_t count;
    CHECK(dora_input_values(event, &type, &values, &count) == DoraStatus_Ok);
    CHECK(type == DoraNumberType_UInt64 && count == 1 && *(const uint64_t *)values == 7);
    free_dora_event(event);
}

static void bytes(void *ctx) {
    void *event = next(ctx, "bytes");
    char *data;
    size_t len;
    read_dora_input_data(event, &data, &len);
    CHECK(len == 3 && memcmp(data, "\x01\x02\xff", 3) == 0);
    const uint8_t *same_bytes;
    CHECK(dora_input_bytes(event, &same_bytes, &len) == DoraStatus_Ok && (const char *)same_bytes == data && len == 3);

    const char *text;
    CHECK(dora_metadata_count(event) == 2);
    CHECK(dora_metadata_key(event, 1, &text, &len) == DoraStatus_Ok && same(text, len, "robot"));
    CHECK(dora_metadata_key(event, 2, &text, &len) == DoraStatus_NotFound);
    CHECK(dora_metadata_type(event, TEXT("robot")) == DoraMetadataType_String);
    CHECK(dora_metadata_get_string(event, TEXT("robot"), &text, &len) == DoraStatus_Ok && same(text, len, "R2"));
    int64_t number = 0;
    CHECK(dora_metadata_get_int(event, TEXT("n"), &number) == DoraStatus_Ok && number == -5);
    CHECK(dora_metadata_get_int(event, TEXT("robot"), &number) == DoraStatus_WrongType);
    CHECK(dora_metadata_get_int(event, TEXT("nobody"), &number) == DoraStatus_NotFound);
    CHECK(dora_metadata_timestamp(event) == read_dora_input_timestamp(event));

    /* The event stands for its metadata. */
    CHECK(dora_send_output_with_metadata(ctx, TEXT("out"), data, 3, event) == DoraStatus_Ok);
    CHECK(dora_send_output(ctx, TEXT("out"), data, 3) == 0);
    CHECK(dora_send_output(ctx, TEXT("out"), NULL, 0) == 0);
    free_dora_event(event);
}

static void numbers(void *ctx) {
    void *event = NULL;
    CHECK(dora_next_event_timeout(ctx, 5000000000, &event) == DoraStatus_Ok);
    uint32_t type;
    const void *values;
    size_t count, len;
    const char *text;
    CHECK(dora_input_values(event, &type, &values, &count) == DoraStatus_Ok);
    CHECK(type == DoraNumberType_Float64 && count == 2 && ((const double *)values)[1] == 2.5);
    CHECK(dora_input_type(event, &text, &len) == DoraStatus_Ok && same(text, len, "Float64"));
    CHECK(dora_send_values(ctx, TEXT("out"), type, values, count, NULL) == DoraStatus_Ok);

    void *loan, *room;
    CHECK(dora_wait_for_room(ctx, TEXT("out"), 0) == DoraStatus_Ok);
    CHECK(dora_loan_output(ctx, TEXT("out"), DoraNumberType_Int16, 3, &loan, &room) == DoraStatus_Ok);
    for (int i = 0; i < 3; i++) {
        ((int16_t *)room)[i] = (int16_t)(i - 1);
    }
    CHECK(dora_send_loan(loan, NULL) == DoraStatus_Ok);
    CHECK(dora_loan_output(ctx, TEXT("out"), DoraNumberType_UInt8, 100000, &loan, &room) == DoraStatus_Ok);
    memset(room, 1, 100000);
    CHECK(dora_discard_loan(loan) == DoraStatus_Ok);
    free_dora_event(event);
}

static void text_and_lists(void *ctx) {
    void *event = next(ctx, "text");
    const char *text;
    size_t len;
    CHECK(dora_input_text(event, &text, &len) == DoraStatus_Ok && same(text, len, "grüß Gott"));
    CHECK(dora_send_text(ctx, TEXT("out"), text, 3, NULL) == DoraStatus_InvalidArgument); /* Cuts a letter. */
    CHECK(dora_send_text(ctx, TEXT("out"), text, len, NULL) == DoraStatus_Ok);
    struct ArrowArray array;
    struct ArrowSchema schema;
    CHECK(dora_export_input(event, &array, &schema) == DoraStatus_Ok);
    /* It outlives the event. */
    free_dora_event(event);
    CHECK(strcmp(schema.format, "u") == 0 && array.length == 1 && array.n_buffers == 3);
    CHECK(dora_send_arrow(ctx, TEXT("out"), &array, &schema, NULL) == DoraStatus_Ok);
    CHECK(array.release == NULL && schema.release == NULL);

    event = next(ctx, "lists");
    CHECK(dora_export_input(event, &array, &schema) == DoraStatus_Ok);
    CHECK(strncmp(schema.format, "+l", 2) == 0 && array.length == 3 && array.null_count == 1);
    /* Not sent: still ours. */
    CHECK(dora_send_arrow(ctx, TEXT("a b"), &array, &schema, NULL) == DoraStatus_InvalidArgument);
    CHECK(array.release != NULL && schema.release != NULL);
    CHECK(dora_send_arrow(ctx, TEXT("out"), &array, &schema, event) == DoraStatus_Ok);
    free_dora_event(event);
}

static void metadata(void *ctx) {
    void *made = dora_new_metadata();
    const int64_t whole[] = {1, -2};
    const double reals[] = {0.5};
    const char *const words[] = {"a", "bb"};
    const size_t lens[] = {1, 2};
    CHECK(dora_metadata_set_bool(made, TEXT("bool"), true) == DoraStatus_Ok);
    CHECK(dora_metadata_set_int(made, TEXT("int"), INT64_MIN) == DoraStatus_Ok);
    CHECK(dora_metadata_set_float(made, TEXT("float"), 1.5) == DoraStatus_Ok);
    CHECK(dora_metadata_set_string(made, TEXT("string"), TEXT("x")) == DoraStatus_Ok);
    CHECK(dora_metadata_set_list_int(made, TEXT("ints"), whole, 2) == DoraStatus_Ok);
    CHECK(dora_metadata_set_list_float(made, TEXT("floats"), reals, 1) == DoraStatus_Ok);
    CHECK(dora_metadata_set_list_string(made, TEXT("strings"), words, lens, 2) == DoraStatus_Ok);
    CHECK(dora_metadata_set_timestamp(made, TEXT("time"), 1000000001) == DoraStatus_Ok);
    CHECK(dora_metadata_set_int(made, TEXT("gone"), 1) == DoraStatus_Ok);
    CHECK(dora_metadata_remove(made, TEXT("gone")) == DoraStatus_Ok);
    CHECK(dora_metadata_remove(made, TEXT("gone")) == DoraStatus_NotFound);

    void *copy = dora_copy_metadata(made);
    CHECK(dora_free_metadata(made) == DoraStatus_Ok);
    bool truth = false;
    int64_t number = 0;
    double real = 0;
    const int64_t *ints;
    const double *floats;
    const char *text;
    size_t len, count = 0;
    CHECK(dora_metadata_get_bool(copy, TEXT("bool"), &truth) == DoraStatus_Ok && truth);
    CHECK(dora_metadata_get_int(copy, TEXT("int"), &number) == DoraStatus_Ok && number == INT64_MIN);
    CHECK(dora_metadata_get_float(copy, TEXT("float"), &real) == DoraStatus_Ok && real == 1.5);
    CHECK(dora_metadata_get_list_int(copy, TEXT("ints"), &ints, &count) == DoraStatus_Ok && count == 2 && ints[1] == -2);
    CHECK(dora_metadata_get_list_float(copy, TEXT("floats"), &floats, &count) == DoraStatus_Ok && floats[0] == 0.5);
    CHECK(dora_metadata_get_list_string(copy, TEXT("strings"), 1, &text, &len, &count) == DoraStatus_Ok);
    CHECK(count == 2 && same(text, len, "bb"));
    CHECK(dora_metadata_get_list_string(copy, TEXT("strings"), 2, &text, &len, NULL) == DoraStatus_NotFound);
    CHECK(dora_metadata_get_timestamp(copy, TEXT("time"), &number) == DoraStatus_Ok && number == 1000000001);
    CHECK(dora_metadata_json(copy, TEXT("ints"), &text, &len) == DoraStatus_Ok && same(text, len, "[1,-2]"));
    CHECK(dora_metadata_json(copy, NULL, 0, &text, &len) == DoraStatus_Ok);
    CHECK(len > 0 && text[0] == '{' && text[len - 1] == '}');
    CHECK(dora_send_output_with_metadata(ctx, TEXT("out"), TEXT("m"), copy) == DoraStatus_Ok);
    CHECK(dora_free_metadata(copy) == DoraStatus_Ok);
}

static void replies(void *ctx) {
    char id[37], other[37];
    CHECK(dora_new_request_id(id) == DoraStatus_Ok && strlen(id) == 36);
    CHECK(dora_new_request_id(other) == DoraStatus_Ok && strcmp(id, other) < 0);
    void *event = NULL;
    CHECK(dora_recv_service_response(ctx, TEXT("my-request"), TEXT("server"), 5000000000, &event) == DoraStatus_Ok);
    CHECK(same(TEXT("response"), "response") && read_dora_event_type(event) == DoraEventType_Input);
    free_dora_event(event);
    CHECK(dora_recv_action_result(ctx, TEXT("my-goal"), TEXT("server"), 5000000000, &event) == DoraStatus_Ok);
    const char *status;
    size_t len;
    CHECK(dora_metadata_get_string(event, TEXT(DORA_GOAL_STATUS), &status, &len) == DoraStatus_Ok);
    CHECK(same(status, len, DORA_GOAL_STATUS_SUCCEEDED));
    free_dora_event(event);
    /* What came while we waited. */
    event = next(ctx, "feedback");
    free_dora_event(event);
}

static void count(void *user, const char *input, size_t len, uint64_t lost) {
    (void)input, (void)len;
    *(uint64_t *)user += lost;
}

/* In a poll loop, to the end. */
static void poll_to_the_end(void *ctx) {
    struct pollfd fd = {.fd = dora_event_fd(ctx), .events = POLLIN};
    CHECK(fd.fd >= 0 && dora_event_fd(ctx) == fd.fd);
    int closed = 0, stopped = 0, status = DoraStatus_Empty;
    while (status != DoraStatus_Closed && poll(&fd, 1, 5000) == 1) {
        void *event;
        while ((status = dora_try_next_event(ctx, &event)) == DoraStatus_Ok) {
            const char *id;
            size_t len;
            if (read_dora_event_type(event) == DoraEventType_InputClosed) {
                closed += dora_event_id(event, &id, &len) == DoraStatus_Ok && same(id, len, "bytes");
            } else if (read_dora_event_type(event) == DoraEventType_Stop) {
                stopped += dora_stop_cause(event) == 1;
            }
            free_dora_event(event);
        }
    }
    CHECK(closed == 1 && stopped == 1 && status == DoraStatus_Closed);
    CHECK(dora_next_event(ctx) == NULL && dora_last_error_code() == DoraStatus_Closed);
    CHECK(dora_events_empty(ctx) == 1);
    uint64_t lost = 0;
    CHECK(dora_take_drop_counts(ctx, count, &lost) == DoraStatus_Ok && lost == 0);
}

int main(void) {
    void *ctx = init_dora_context_from_env();
    if (ctx == NULL) {
        return 1;
    }
    void *event;
    /* The first event of the file comes after 50 ms. */
    CHECK(dora_try_next_event(ctx, &event) == DoraStatus_Empty);
    CHECK(dora_next_event_timeout(ctx, 1000000, &event) == DoraStatus_Timeout);
    facts(ctx);
    tick(ctx);
    bytes(ctx);
    numbers(ctx);
    text_and_lists(ctx);
    metadata(ctx);
    replies(ctx);
    poll_to_the_end(ctx);

    const char *const outputs[] = {"out"};
    const size_t lens[] = {3};
    CHECK(dora_close_outputs(ctx, outputs, lens, 1) == DoraStatus_Ok);
    CHECK(dora_send_output(ctx, TEXT("out"), "x", 1) == -1 && strstr(dora_last_error(), "closed") != NULL);
    CHECK(dora_leave(ctx) == DoraStatus_Ok);
    return RESULT;
}
