/* What a node in C does per message: see `Familiar` in benches/own/src/nodes.rs, which does the same in Rust. */
#include <node_api.h>
#include <string.h>

/* Messages up to this many words are written and read whole. */
#define WHOLE 512
#define OUTPUT "out"

/* Sends `count` words: `first`, and `number` everywhere else (of a large message: as the last). */
int bench_c_send(void *ctx, size_t count, uint64_t first, uint64_t number) {
    if (count <= WHOLE) {
        uint64_t words[WHOLE];
        for (size_t i = 0; i < count; i++) {
            words[i] = number;
        }
        words[0] = first;
        return dora_send_values(ctx, OUTPUT, strlen(OUTPUT), DoraNumberType_UInt64, words, count, NULL);
    }
    void *loan, *values;
    int status = dora_loan_output(ctx, OUTPUT, strlen(OUTPUT), DoraNumberType_UInt64, count, &loan, &values);
    if (status != DoraStatus_Ok) {
        return status;
    }
    uint64_t *words = values;
    words[count - 1] = number;
    words[0] = first;
    return dora_send_loan(loan, NULL);
}

/* Waits for a message and checks that it is `number`, or, for a tick, takes its number. */
int bench_c_take(void *ctx, uint64_t number, int is_tick, uint64_t *first) {
    void *event = dora_next_event(ctx);
    if (event == NULL) {
        return dora_last_error_code();
    }
    int status = DoraStatus_WrongType;
    if (read_dora_event_type(event) == DoraEventType_Input) {
        uint32_t type;
        const void *values;
        size_t count;
        status = dora_input_values(event, &type, &values, &count);
        if (status == DoraStatus_Ok && type == DoraNumberType_UInt64) {
            const uint64_t *words = values;
            *first = words[0];
            size_t from = count <= WHOLE ? 1 : count - 1;
            for (size_t i = from; i < count && !is_tick; i++) {
                status = words[i] == number ? status : DoraStatus_Failed;
            }
        }
    }
    free_dora_event(event);
    return status;
}
