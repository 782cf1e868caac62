// Squares what it is asked for. C++, but on the C API, as a program would be that has to run on both.
#include <node_api.h>

#include <cstdint>
#include <cstring>
#include <iostream>

namespace {

bool answer(void *ctx, void *event) {
    char *data = nullptr;
    std::size_t len = 0;
    read_dora_input_data(event, &data, &len);
    if (len != 1) {
        std::cerr << "server: a request shall be one byte\n";
        return false;
    }
    const std::int64_t number = static_cast<unsigned char>(data[0]);
    const std::int64_t square = number * number;
    // The event stands for its own metadata: with it the request's name goes back to the client.
    const int sent =
        dora_send_values(ctx, "response", std::strlen("response"), DoraNumberType_Int64, &square, 1, event);
    if (sent != DoraStatus_Ok) {
        std::cerr << "server: " << dora_last_error() << "\n";
    }
    return sent == DoraStatus_Ok;
}

} // namespace

int main() {
    void *ctx = init_dora_context_from_env();
    if (ctx == nullptr) {
        return 1;
    }
    bool good = true;
    while (void *event = good ? dora_next_event(ctx) : nullptr) {
        const enum DoraEventType type = read_dora_event_type(event);
        if (type == DoraEventType_Input) {
            good = answer(ctx, event);
        }
        free_dora_event(event);
    }
    free_dora_context(ctx);
    return good ? 0 : 1;
}
