// Every function of the C++ API, used as it should be, and some as they should not. Run with DORA_TEST_WITH_INPUTS on
// ../c/surface.json.
#include <dora-node-api.h>

#include <array>
#include <iostream>

namespace {

int failures = 0;

#define CHECK(what)                                                                                                    \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            failures++;                                                                                                \
            std::cerr << __FILE__ << ":" << __LINE__ << ": not so: " << #what << "\n";                                 \
        }                                                                                                              \
    } while (0)

/// The text of the error that a call throws; empty when it throws none.
template <class F>
std::string thrown(F call) {
    try {
        call();
    } catch (const rust::Error &error) {
        return error.what();
    }
    return {};
}

bool has(const std::string &text, const char *part) { return text.find(part) != std::string::npos; }

void facts(const DoraNode &node) {
    CHECK(dora::node_id(node.send_output) == "surface");
    CHECK(dora::dataflow_id(node.send_output).size() == 36);
    CHECK(dora::restart_count(node.send_output) == 0);
    CHECK(node_config_json(node.send_output).front() == '{');
    CHECK(has(thrown([&] { dataflow_descriptor_json(node.send_output); }), "no descriptor"));
    CHECK(log_message(node.send_output, "info", "from C++").error.empty());
}

void bytes(const DoraNode &node) {
    auto tick = next_event(node.events);
    CHECK(event_type(tick) == DoraEventType::Input && event_id(tick) == "tick");
    CHECK(dora::event_missed_ticks(tick) == 0 && event_values<std::uint64_t>(tick)[0] == 7);
    // Ticks have no bytes, and that is no error: programs written for 1.1.0 ask for them.
    CHECK(event_as_input(std::move(tick)).data.empty());
    CHECK(has(thrown([&] { event_type(tick); }), "moved from"));

    auto event = node.events->next();
    CHECK(event_bytes(event).size() == 3 && event_bytes(event)[2] == 255);
    CHECK(has(thrown([&] { event_values<double>(event); }), "UInt8"));
    CHECK(has(thrown([&] { event_bytes(event).at(3); }), "no element 3"));
    const auto input = event_as_input_with_metadata(std::move(event));
    CHECK(input.id == "bytes" && (input.data == std::vector<std::uint8_t>{1, 2, 255}));
    CHECK(input.metadata->get_str("robot") == "R2" && input.metadata->get_int("n") == -5);
    CHECK(input.metadata->type("n") == MetadataValueType::Integer);
    CHECK(input.metadata->timestamp() > 0);
    CHECK(has(thrown([&] { input.metadata->get_int("robot"); }), "is a string, not an integer"));
    CHECK(has(thrown([&] { input.metadata->get_bool("nobody"); }), "`nobody`"));
    const rust::Slice<const std::uint8_t> slice(input.data);
    CHECK(send_output_with_metadata(node.send_output, "out", slice, input.metadata).error.empty());
    CHECK(send_output(node.send_output, "out", slice).error.empty());
    CHECK(send_output(node.send_output, "out", {}).error.empty());
}

void numbers(const DoraNode &node) {
    auto event = next_event_timeout(node.events, 5000);
    CHECK(dora::event_input_type(event) == "Float64" && event_values<double>(event)[1] == 2.5);
    CHECK(has(thrown([&] { event_bytes(event); }), "Float64"));
    CHECK(send_values<double>(node.send_output, "out", event_values<double>(event)).error.empty());
    auto loan = loan_output<std::int16_t>(node.send_output, "out", 3);
    for (std::int16_t n = 0; n < 3; n++) {
        loan.values()[static_cast<std::size_t>(n)] = static_cast<std::int16_t>(n - 1);
    }
    CHECK(loan.send().error.empty());
    CHECK(has(loan.send().error, "sent before"));
    const auto unsent = loan_output<double>(node.send_output, "out", 10);
    CHECK(dora::wait_for_room(node.send_output, "out", 0));
}

void arrow(const DoraNode &node) {
    auto event = node.events->next();
    CHECK(event_text(event) == "grüß Gott");
    CHECK(send_text(node.send_output, "out", event_text(event)).error.empty());
    ArrowArray array;
    ArrowSchema schema;
    auto *raw_array = reinterpret_cast<std::uint8_t *>(&array);
    auto *raw_schema = reinterpret_cast<std::uint8_t *>(&schema);
    const auto info = event_as_arrow_input_with_info(std::move(event), raw_array, raw_schema);
    CHECK(info.id == "text" && info.error.empty() && info.metadata->list_keys().empty());
    CHECK(send_arrow_output(node.send_output, "out", raw_array, raw_schema).error.empty());

    auto lists = dora::ArrowPair::of(node.events->next());
    CHECK(lists.format() == "+l" && lists.array.null_count == 1);
    CHECK(has(send_arrow_output(node.send_output, "a b", lists).error, "a b"));
    CHECK(lists.array.release != nullptr);
    CHECK(send_arrow_output(node.send_output, "out", lists).error.empty());
    CHECK(lists.array.release == nullptr);
    CHECK(has(send_arrow_output(node.send_output, "out", lists).error, "released before"));
}

void metadata(const DoraNode &node) {
    auto made = new_metadata();
    made->set_bool("bool", true);
    made->set_int("int", INT64_MIN);
    made->set_float("float", 1.5);
    made->set_string("string", "x");
    made->set_list_int("ints", {1, -2});
    made->set_list_float("floats", {0.5});
    made->set_list_string("strings", {"a", "bb"});
    made->set_list_string("none", {});
    made->set_timestamp("time", 1000000001);
    CHECK(made->get_bool("bool") && made->get_float("float") == 1.5 && made->get_int("int") == INT64_MIN);
    CHECK((made->get_list_int("ints") == std::vector<std::int64_t>{1, -2}));
    CHECK((made->get_list_float("floats") == std::vector<double>{0.5}));
    CHECK((made->get_list_string("strings") == std::vector<std::string>{"a", "bb"}));
    CHECK(made->get_list_string("none").empty() && made->type("none") == MetadataValueType::ListString);
    CHECK(made->get_timestamp("time") == 1000000001 && made->get_json("ints") == "[1,-2]");
    made->remove("none");
    CHECK(made->list_keys().size() == 8 && !made->contains("none") && has(made->to_json(), "\"string\":\"x\""));
    CHECK(has(thrown([&] { made->set_int("_mine", 1); }), "belong to dora"));
    const std::uint8_t letter = 'm';
    CHECK(send_output_with_metadata(node.send_output, "out", {&letter, 1}, made).error.empty());
}

void replies(const DoraNode &node) {
    CHECK(new_request_id().size() == 36 && new_goal_id() != new_goal_id());
    CHECK(recv_service_response(node.events, "r", "not a node", 0).status == DoraPatternStatus::InvalidArgument);
    const auto late = recv_service_response(node.events, "nobody's", "server", 1);
    CHECK(late.status == DoraPatternStatus::Timeout && event_type(late.event) == DoraEventType::Empty);
    const auto reply = recv_service_response(node.events, "my-request", "server", 5000);
    CHECK(reply.status == DoraPatternStatus::Matched && event_id(reply.event) == "response");
    const auto result = recv_action_result(node.events, "my-goal", "server", 5000);
    CHECK(result.status == DoraPatternStatus::Matched);
    CHECK(event_metadata(result.event)->goal_status() == goal_status_succeeded());
    CHECK(event_id(node.events->next()) == "feedback");
    const auto request = send_service_request(node.send_output, "a b", {}, new_metadata());
    CHECK(request.request_id.empty() && has(request.error, "a b"));
    CHECK(has(send_service_response(node.send_output, "out", {}, new_metadata()).error, "request_id"));
}

void the_end(const DoraNode &node) {
    CHECK(event_type(try_next_event(node.events)) == DoraEventType::Empty && events_is_empty(node.events));
    CHECK(event_type(next_event_timeout(node.events, 1)) == DoraEventType::Timeout);
    CHECK(dora::events_fd(node.events) >= 0 && dora::drain_drop_counts(node.events).empty());
    auto closed = node.events->next();
    CHECK(event_type(closed) == DoraEventType::InputClosed && event_id(closed) == "bytes");
    CHECK(has(thrown([&] { event_as_node_failed(std::move(closed)); }), "not a failure"));
    auto rest = drain_events(node.events);
    CHECK(drained_events_len(rest) == 1);
    const auto stop = drained_events_next(rest);
    CHECK(event_type(stop) == DoraEventType::Stop && dora::event_stopped_by_end_of_inputs(stop));
    CHECK(event_type(drained_events_next(rest)) == DoraEventType::Empty);
    CHECK(event_type(node.events->next()) == DoraEventType::AllInputsClosed);
    CHECK(has(close_outputs(node.send_output, {"out", "wrong"}).error, "wrong"));
    CHECK(close_outputs(node.send_output, {"out"}).error.empty());
    CHECK(has(send_output(node.send_output, "out", {}).error, "closed"));
}

} // namespace

int main() {
    DoraNode joined = init_dora_node();
    const DoraNode node = std::move(joined);
    facts(node);
    bytes(node);
    numbers(node);
    arrow(node);
    metadata(node);
    replies(node);
    the_end(node);
    return failures == 0 ? 0 : 1;
}
