// Events of the dataflow and of other sources in one stream. Run with DORA_TEST_WITH_INPUTS on merge.json: ten inputs,
// and the end of all inputs.
#include <dora-node-api.h>

#include <iostream>
#include <memory>
#include <thread>

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

/// Bytes that come through a pipe.
class Pipe final : public dora::ForeignSource<char> {
public:
    explicit Pipe(int fd) : fd_(fd) {}
    Pipe(const Pipe &) = delete;
    Pipe &operator=(const Pipe &) = delete;
    ~Pipe() override { close(fd_); }
    int fd() const override { return fd_; }
    std::optional<char> take() override {
        pollfd ready = {fd_, POLLIN, 0};
        char byte = 0;
        const bool there = poll(&ready, 1, 0) == 1 && (ready.revents & POLLIN) != 0 && read(fd_, &byte, 1) == 1;
        return there ? std::optional<char>(byte) : std::nullopt;
    }

private:
    int fd_;
};

DoraEventType type_of(CombinedEvent event) { return event_type(downcast_dora(std::move(event))); }

void without_a_dataflow() {
    CombinedEvents events = empty_combined_events();
    CHECK(type_of(events.next()) == DoraEventType::AllInputsClosed);
    CHECK(thrown([&] { events.events(); }).find("no dataflow") != std::string::npos);

    auto [numbers, number] = dora::merge_channel<std::unique_ptr<int>>(events, 2);
    auto [words, word] = dora::merge_channel<std::string>(events);
    CHECK(type_of(events.next_timeout(5)) == DoraEventType::Timeout);
    CHECK(numbers.send(std::make_unique<int>(1)) && numbers.send(std::make_unique<int>(2)));
    CHECK(!numbers.send(std::make_unique<int>(3)));
    CHECK(words.send("one"));
    // They take turns.
    auto first = events.next(), second = events.next();
    CHECK(number.matches(first) && !word.matches(first) && word.matches(second) && !second.is_dora());
    CHECK(thrown([&] { word.downcast(std::move(first)); }).find("not from this source") != std::string::npos);
    CHECK(word.downcast(std::move(second)) == "one");
    CHECK(*number.downcast(events.next()) == 2);

    // The end of one wakes nobody up for nothing, and that of the last is the end.
    auto copy = words;
    { auto gone = std::move(numbers); }
    { auto gone = std::move(words); }
    CHECK(type_of(events.next_timeout(5)) == DoraEventType::Timeout);
    std::thread late([copy = std::move(copy)]() mutable {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        CHECK(copy.send("last"));
        auto gone = std::move(copy);
    });
    CHECK(word.downcast(events.next()) == "last");
    CHECK(type_of(events.next()) == DoraEventType::AllInputsClosed);
    late.join();
}

void a_pipe_that_is_closed_has_ended() {
    int ends[2];
    CHECK(pipe(ends) == 0);
    CombinedEvents events = empty_combined_events();
    auto bytes = dora::merge_source<char>(events, std::make_shared<Pipe>(ends[0]));
    CHECK(write(ends[1], "ab", 2) == 2);
    close(ends[1]);
    CHECK(bytes.downcast(events.next()) == 'a' && bytes.downcast(events.next()) == 'b');
    CHECK(type_of(events.next()) == DoraEventType::AllInputsClosed);
}

void nobody_receives_any_more() {
    auto events = std::make_unique<CombinedEvents>();
    auto sender = dora::merge_channel<int>(*events).first;
    CHECK(sender.send(1));
    events.reset();
    CHECK(!sender.send(2));
}

/// Ten inputs and a hundred numbers from another thread: nothing is lost, each part stays in order.
void beside_a_dataflow() {
    DoraNode node = init_dora_node();
    CombinedEvents events = dora_events_into_combined(std::move(node.events));
    auto [sender, number] = dora::merge_channel<int>(events);
    std::thread other([sender = sender] {
        for (int n = 0; n < 100; n++) {
            CHECK(sender.send(n));
        }
    });
    int inputs = 0, numbers = 0;
    bool ended = false;
    while (!ended || numbers < 100) {
        auto event = events.next();
        if (number.matches(event)) {
            CHECK(number.downcast(std::move(event)) == numbers++);
            continue;
        }
        auto dora_event = downcast_dora(std::move(event));
        switch (event_type(dora_event)) {
        case DoraEventType::Input: {
            CHECK(event_values<std::int64_t>(dora_event)[0] == inputs++);
            const std::uint8_t seen = static_cast<std::uint8_t>(inputs);
            CHECK(send_output(node.send_output, "seen", {&seen, 1}).error.empty());
            break;
        }
        case DoraEventType::AllInputsClosed: ended = true; break;
        case DoraEventType::InputClosed:
        case DoraEventType::Stop: break;
        default: CHECK(!"another event"); return;
        }
    }
    other.join();
    CHECK(inputs == 10);
    // Its sender still lives, and it is the end all the same; what comes later is given out nevertheless.
    CHECK(type_of(events.next()) == DoraEventType::AllInputsClosed);
    CHECK(sender.send(100) && number.downcast(events.next()) == 100);
    CHECK(events_is_empty(events.events()));
}

} // namespace

int main() {
    without_a_dataflow();
    a_pipe_that_is_closed_has_ended();
    nobody_receives_any_more();
    beside_a_dataflow();
    return failures == 0 ? 0 : 1;
}
