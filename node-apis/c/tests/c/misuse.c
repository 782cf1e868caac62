/* Every wrong use that can be found ends in an error, and everything works afterwards. Run with DORA_TEST_WITH_INPUTS on
 * misuse.json. */
#include "check.h"

#include <pthread.h>
#include <unistd.h>

/* Freed, of another kind, or no handle at all. */
static void wrong_handles(void *ctx, void *event) {
    int on_stack = 0;
    void *metadata = dora_new_metadata();
    void *wrong[] = {event, metadata, &on_stack, (void *)1, (void *)(uintptr_t)-1};
    const char *text;
    size_t len;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK(dora_next_event(wrong[i]) == NULL && dora_last_error_code() == DoraStatus_InvalidHandle);
        CHECK(dora_send_output(wrong[i], TEXT("out"), "x", 1) == -1);
        CHECK(dora_node_id(wrong[i], &text, &len) == DoraStatus_InvalidHandle);
        CHECK(dora_leave(wrong[i]) == DoraStatus_InvalidHandle);
    }
    CHECK(read_dora_event_type(ctx) == DoraEventType_Unknown && dora_last_error_code() == DoraStatus_InvalidHandle);
    CHECK(dora_free_metadata(ctx) == DoraStatus_InvalidHandle);
    CHECK(dora_send_loan(event, NULL) == DoraStatus_InvalidHandle);
    CHECK(dora_metadata_set_int(event, TEXT("k"), 1) == DoraStatus_InvalidHandle);
    CHECK(dora_send_output_with_metadata(ctx, TEXT("out"), "x", 1, &on_stack) == DoraStatus_InvalidHandle);
    CHECK(dora_free_metadata(metadata) == DoraStatus_Ok);
    CHECK(dora_free_metadata(metadata) == DoraStatus_InvalidHandle && strstr(dora_last_error(), "freed") != NULL);
    CHECK(dora_metadata_count(metadata) == -1);
}

/* Null where something is needed. */
static void nulls(void *ctx, void *event) {
    char *text = "x";
    size_t len = 1;
    CHECK(dora_next_event(NULL) == NULL && dora_last_error_code() == DoraStatus_InvalidArgument);
    CHECK(dora_send_output(NULL, TEXT("out"), "x", 1) == -1);
    CHECK(dora_send_output(ctx, NULL, 3, "x", 1) == -1);
    CHECK(dora_send_output(ctx, TEXT("out"), NULL, 1) == -1);
    CHECK(dora_log(ctx, NULL, 4, TEXT("m")) == -1);
    CHECK(dora_log(NULL, TEXT("info"), TEXT("m")) == -1);
    read_dora_input_id(NULL, &text, &len);
    CHECK(text == NULL && len == 0);
    read_dora_input_id(event, NULL, NULL);
    read_dora_input_data(event, NULL, &len);
    CHECK(read_dora_event_type(NULL) == DoraEventType_Unknown && read_dora_input_timestamp(NULL) == 0);
    CHECK(dora_try_next_event(ctx, NULL) == DoraStatus_InvalidArgument);
    CHECK(dora_input_values(event, NULL, NULL, NULL) == DoraStatus_InvalidArgument);
    CHECK(dora_export_input(event, NULL, NULL) == DoraStatus_InvalidArgument);
    CHECK(dora_send_arrow(ctx, TEXT("out"), NULL, NULL, NULL) == DoraStatus_InvalidArgument);
    CHECK(dora_new_request_id(NULL) == DoraStatus_InvalidArgument);
    CHECK(dora_close_outputs(ctx, NULL, NULL, 1) == DoraStatus_InvalidArgument);
    CHECK(dora_take_drop_counts(ctx, NULL, NULL) == DoraStatus_InvalidArgument);
    CHECK(dora_metadata_get_int(event, NULL, 1, NULL) == DoraStatus_InvalidArgument);
    CHECK(dora_loan_output(ctx, TEXT("out"), DoraNumberType_UInt8, 1, NULL, NULL) == DoraStatus_InvalidArgument);
    free_dora_event(NULL);
    free_dora_context(NULL);
}

/* Values that cannot be. */
static void nonsense(void *ctx, void *event) {
    const char bad[] = "\xff\xfe";
    double misaligned[2] = {0, 0};
    void *loan, *room;
    CHECK(dora_send_output(ctx, bad, 2, "x", 1) == -1 && strstr(dora_last_error(), "UTF-8") != NULL);
    CHECK(dora_send_output(ctx, TEXT("no good name"), "x", 1) == -1);
    CHECK(dora_send_output(ctx, TEXT("out"), "x", SIZE_MAX) == -1);
    CHECK(dora_send_values(ctx, TEXT("out"), 99, misaligned, 1, NULL) == DoraStatus_InvalidArgument);
    CHECK(dora_send_values(ctx, TEXT("out"), DoraNumberType_Float64, misaligned, SIZE_MAX / 4, NULL) ==
          DoraStatus_InvalidArgument);
    CHECK(dora_loan_output(ctx, TEXT("out"), DoraNumberType_Int64, SIZE_MAX / 2, &loan, &room) ==
          DoraStatus_InvalidArgument);
    void *metadata = dora_new_metadata();
    CHECK(dora_metadata_set_int(metadata, TEXT("_mine"), 1) == DoraStatus_InvalidArgument);
    CHECK(dora_metadata_set_list_float(metadata, TEXT("k"), (const double *)((char *)misaligned + 1), 1) ==
          DoraStatus_InvalidArgument);
    CHECK(dora_free_metadata(metadata) == DoraStatus_Ok);
    CHECK(dora_recv_service_response(ctx, TEXT("r"), TEXT("not a node"), 0, &loan) == DoraStatus_InvalidArgument);
    /* A number that is no bytes: logged once, never a crash. */
    for (int i = 0; i < 2; i++) {
        char *data = "x";
        size_t len = 1;
        read_dora_input_data(event, &data, &len);
        CHECK(data == NULL && len == 0 && dora_last_error_code() == DoraStatus_WrongType);
    }
    const char *text;
    size_t len;
    CHECK(dora_event_error(event, &text, &len) == DoraStatus_WrongType);
    CHECK(dora_event_value_json(event, &text, &len) == DoraStatus_WrongType);
    CHECK(dora_affected_input(event, 0, &text, &len) == DoraStatus_WrongType);
    CHECK(dora_stop_cause(event) == -1);
}

/* Arrays that no producer should hand out. */
static void broken_arrays(void *ctx, void *event) {
    struct ArrowArray array;
    struct ArrowSchema schema;
    CHECK(dora_export_input(event, &array, &schema) == DoraStatus_Ok);
    struct ArrowArray spoilt = array;
    spoilt.length = -1;
    CHECK(dora_send_arrow(ctx, TEXT("out"), &spoilt, &schema, NULL) == DoraStatus_InvalidArgument);
    spoilt = array;
    spoilt.n_buffers = 1;
    CHECK(dora_send_arrow(ctx, TEXT("out"), &spoilt, &schema, NULL) != DoraStatus_Ok);
    struct ArrowSchema odd = schema;
    odd.format = "no such format";
    CHECK(dora_send_arrow(ctx, TEXT("out"), &array, &odd, NULL) != DoraStatus_Ok);
    CHECK(array.release != NULL && schema.release != NULL);
    array.release(&array);
    CHECK(dora_send_arrow(ctx, TEXT("out"), &array, &schema, NULL) == DoraStatus_InvalidArgument);
    schema.release(&schema);
}

static void *context_of_threads;

static void *wait_for_events(void *unused) {
    (void)unused;
    void *event;
    /* The other thread may be in there just now. */
    do {
        event = dora_next_event(context_of_threads);
    } while (event == NULL && dora_last_error_code() == DoraStatus_Busy);
    CHECK(event != NULL);
    return event;
}

/* A second thread in a half of a context is turned away at once; the other half is free. */
static void two_threads(void *ctx) {
    pthread_t thread;
    context_of_threads = ctx;
    CHECK(pthread_create(&thread, NULL, wait_for_events, NULL) == 0);
    int status;
    void *event;
    while ((status = dora_try_next_event(ctx, &event)) == DoraStatus_Empty) {
        usleep(1000);
    }
    CHECK(status == DoraStatus_Busy && strstr(dora_last_error(), "another thread") != NULL);
    CHECK(dora_leave(ctx) == DoraStatus_Busy);
    CHECK(dora_send_output(ctx, TEXT("out"), "x", 1) == 0);
    CHECK(pthread_join(thread, &event) == 0);
    free_dora_event(event);
}

int main(void) {
    CHECK(dora_last_error_code() == DoraStatus_Ok && strcmp(dora_last_error(), "") == 0);
    void *ctx = init_dora_context_from_env();
    if (ctx == NULL) {
        return 1;
    }
    void *event = dora_next_event(ctx);
    wrong_handles(ctx, event);
    nulls(ctx, event);
    nonsense(ctx, event);
    broken_arrays(ctx, event);

    void *loan, *room;
    CHECK(dora_loan_output(ctx, TEXT("out"), DoraNumberType_UInt8, 8, &loan, &room) == DoraStatus_Ok);
    CHECK(dora_send_loan(loan, NULL) == DoraStatus_Ok);
    CHECK(dora_send_loan(loan, NULL) == DoraStatus_InvalidHandle && dora_discard_loan(loan) == DoraStatus_InvalidHandle);
    free_dora_event(event);
    free_dora_event(event);
    CHECK(dora_last_error_code() == DoraStatus_InvalidHandle && strstr(dora_last_error(), "freed") != NULL);
    CHECK(read_dora_event_type(event) == DoraEventType_Unknown);

    two_threads(ctx);
    CHECK(dora_loan_output(ctx, TEXT("out"), DoraNumberType_UInt8, 8, &loan, &room) == DoraStatus_Ok);
    free_dora_context(ctx);
    free_dora_context(ctx);
    CHECK(dora_next_event(ctx) == NULL && dora_last_error_code() == DoraStatus_InvalidHandle);
    CHECK(dora_send_output(ctx, TEXT("out"), "x", 1) == -1);
    CHECK(dora_send_loan(loan, NULL) == DoraStatus_InvalidHandle && dora_discard_loan(loan) == DoraStatus_InvalidHandle);
    return RESULT;
}
