/* Counts what comes, and sends a line about it. */
#include "operator_api.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct {
    unsigned count;
} Counter;

DoraInitResult_t dora_init_operator(void) {
    Counter *counter = calloc(1, sizeof *counter);
    return (DoraInitResult_t){dora_error(counter == NULL ? "there is no memory for the counter" : NULL), counter};
}

DoraResult_t dora_drop_operator(void *operator_context) {
    free(operator_context);
    return dora_error(NULL);
}

static OnEventResult_t on_message(Counter *counter, Input_t *input, const SendOutput_t *send_output) {
    OnEventResult_t done = {{NULL}, DORA_STATUS_CONTINUE};
    char line[64];
    /* The values lie where the sender wrote them. */
    Vec_uint8_t data = dora_read_values(input);
    if (dora_input_type(input) != DORA_TYPE_FLOAT64 || data.len != sizeof(double)) {
        dora_free_data(data);
        done.result = dora_error("a message is no single float64");
        return done;
    }
    double value = *(const double *)(const void *)data.ptr;
    dora_free_data(data);
    counter->count += 1;
    int len = snprintf(line, sizeof line, "message %u is %.1f", counter->count, value);
    done.result = dora_send_operator_output(send_output, "counter", (const uint8_t *)line, (size_t)len);
    return done;
}

OnEventResult_t dora_on_event(RawEvent_t *event, const SendOutput_t *send_output, void *operator_context) {
    Counter *counter = operator_context;
    if (event->input != NULL) {
        return on_message(counter, event->input, send_output);
    }
    if (event->input_closed.ptr != NULL) {
        printf("input %.*s is closed after %u messages\n", (int)event->input_closed.len, (char *)event->input_closed.ptr,
               counter->count);
        fflush(stdout);
    }
    return (OnEventResult_t){{NULL}, DORA_STATUS_CONTINUE};
}
