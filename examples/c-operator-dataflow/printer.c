/* Prints what comes, and where it came. */
#include "operator_api.h"

#include <stdio.h>

DoraInitResult_t dora_init_operator(void) {
    static int nothing;
    return (DoraInitResult_t){{NULL}, &nothing};
}

DoraResult_t dora_drop_operator(void *operator_context) {
    (void)operator_context;
    return dora_error(NULL);
}

OnEventResult_t dora_on_event(RawEvent_t *event, const SendOutput_t *send_output, void *operator_context) {
    (void)send_output;
    (void)operator_context;
    if (event->input != NULL) {
        char *id = dora_read_input_id(event->input);
        Vec_uint8_t data = dora_read_data(event->input);
        if (id != NULL && data.ptr != NULL) {
            printf("%s: %.*s\n", id, (int)data.len, (char *)data.ptr);
            fflush(stdout);
        }
        dora_free_data(data);
        dora_free_input_id(id);
    }
    return (OnEventResult_t){{NULL}, DORA_STATUS_CONTINUE};
}
