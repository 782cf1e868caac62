// Other events beside those of the dataflow, in one stream and on one thread.
//
//     auto events = dora_events_into_combined(std::move(node.events));
//     auto [sender, frames] = dora::merge_channel<Frame>(events);
//     std::thread camera([sender = std::move(sender)] { while (running) sender.send(grab()); });
//     for (;;) {
//         auto event = events.next();
//         if (frames.matches(event)) {
//             Frame frame = frames.downcast(std::move(event));
//         } else if (event.is_dora()) {
//             auto dora_event = downcast_dora(std::move(event));  // AllInputsClosed at the end
//         }
//     }
//
// Nothing is polled in a loop: `next` sleeps on the file descriptors of all parts. The parts get their turn one after
// the other, so a busy one holds up nobody.
#ifndef DORA_MERGE_H
#define DORA_MERGE_H

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <deque>
#include <mutex>
#include <optional>
#include <system_error>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "dora/node.h"

namespace dora {

/// Something that gives out values of type T: a socket, a device, a subscription of another middleware. Once it is
/// merged, only the thread that calls `next` uses it.
template <class T>
class ForeignSource {
public:
    virtual ~ForeignSource() = default;
    /// Readable when there may be something. The same for as long as the source lives; closed or hung up it is the end.
    virtual int fd() const = 0;
    /// What is there, without waiting. Who has nothing takes back what made the descriptor readable.
    virtual std::optional<T> take() = 0;
    /// What `take` gives out from here on is the last. Then the descriptor stays readable.
    virtual bool ended() const { return false; }
};

/// From the dataflow, or from a source that was merged in.
class CombinedEvent final {
public:
    explicit CombinedEvent(Box<DoraEvent> event) : event_(std::move(event)) {}
    CombinedEvent(std::uint64_t source, std::shared_ptr<void> value) : source_(source), value_(std::move(value)) {}

    bool is_dora() const noexcept { return event_.has_value(); }
    /// Number of the source that it is from; 0 for the dataflow.
    std::uint64_t source() const noexcept { return source_; }
    /// For `downcast_dora` and `ForeignEvents::downcast`.
    std::optional<Box<DoraEvent>> &event() noexcept { return event_; }
    void *value() const noexcept { return value_.get(); }

private:
    std::optional<Box<DoraEvent>> event_;
    std::uint64_t source_ = 0;
    std::shared_ptr<void> value_;
};

/// The event of the dataflow. Throws Error when it is none.
inline Box<DoraEvent> downcast_dora(CombinedEvent event) {
    if (!event.is_dora()) {
        throw Error("the event is from a source that was merged in, not from the dataflow");
    }
    return std::move(*event.event());
}

/// Tells the values of one source from all others.
template <class T>
class ForeignEvents final {
public:
    explicit ForeignEvents(std::uint64_t source) noexcept : source_(source) {}
    bool matches(const CombinedEvent &event) const noexcept { return event.source() == source_; }
    /// The value. Throws Error when it is from somewhere else.
    T downcast(CombinedEvent event) const {
        if (!matches(event)) {
            throw Error("the event is not from this source");
        }
        return std::move(*static_cast<T *>(event.value()));
    }

private:
    std::uint64_t source_;
};

namespace detail {

/// A source of whatever.
struct AnySource {
    virtual ~AnySource() = default;
    virtual int fd() const = 0;
    virtual std::shared_ptr<void> take() = 0;
    virtual bool ended() const = 0;
};

template <class T>
struct SourceOf final : AnySource {
    explicit SourceOf(std::shared_ptr<ForeignSource<T>> from) noexcept : source(std::move(from)) {}
    int fd() const override { return source->fd(); }
    std::shared_ptr<void> take() override {
        std::optional<T> value = source->take();
        return value ? std::make_shared<T>(std::move(*value)) : nullptr;
    }
    bool ended() const override { return source->ended(); }
    std::shared_ptr<ForeignSource<T>> source;
};

/// A merged source, and whether it has ended.
struct Merged {
    std::uint64_t number;
    std::unique_ptr<AnySource> source;
    bool over;
};

inline std::uint64_t next_source() noexcept {
    static std::atomic<std::uint64_t> last{0};
    return ++last;
}

} // namespace detail

/// The events of a node and of everything that was merged in. One thread at a time.
class CombinedEvents final {
public:
    CombinedEvents() = default;
    explicit CombinedEvents(Box<Events> events) : events_(std::move(events)) {}

    /// Waits for the next event of any part. When the dataflow has ended, and what was there of the sources is given
    /// out: AllInputsClosed, an event of the dataflow. Without a dataflow it comes when the last source has ended.
    CombinedEvent next() { return within(std::nullopt); }

    /// At most this long: Timeout, an event of the dataflow.
    CombinedEvent next_timeout(std::uint64_t ms) {
        // Longer is for ever, and would not fit a clock.
        const std::chrono::milliseconds most = std::chrono::hours(24 * 365 * 100);
        const auto limit = std::min<std::uint64_t>(ms, static_cast<std::uint64_t>(most.count()));
        return within(std::chrono::steady_clock::now() + std::chrono::milliseconds(limit));
    }

    /// The half of the node that receives, for `recv_service_response` and its kin. Throws Error when there is none.
    Box<Events> &events() {
        if (!events_) {
            throw Error("these combined events have no dataflow among them");
        }
        return *events_;
    }

    /// See `merge_source`.
    std::uint64_t add(std::unique_ptr<detail::AnySource> source) {
        const std::uint64_t number = detail::next_source();
        sources_.push_back({number, std::move(source), false});
        return number;
    }

private:
    using Deadline = std::optional<std::chrono::steady_clock::time_point>;

    static CombinedEvent without(DoraEventType type, std::string error = {}) {
        return CombinedEvent(Box<DoraEvent>(DoraEvent(type, std::move(error))));
    }

    std::optional<CombinedEvent> of_dataflow() {
        if (!events_ || closed_) {
            return std::nullopt;
        }
        Box<DoraEvent> event = try_next_event(*events_);
        if (event->handle() == nullptr && event->type() == DoraEventType::AllInputsClosed) {
            closed_ = true;
            return std::nullopt;
        }
        return event->type() == DoraEventType::Empty ? std::nullopt : std::optional<CombinedEvent>(std::move(event));
    }

    static std::optional<CombinedEvent> of_source(detail::Merged &merged) {
        // Asked before, so that what came last is not lost.
        merged.over = merged.over || merged.source->ended();
        std::shared_ptr<void> value = merged.source->take();
        if (value == nullptr) {
            return std::nullopt;
        }
        merged.over = false;
        return CombinedEvent(merged.number, std::move(value));
    }

    /// What is there. The part behind the one that was served last is asked first.
    std::optional<CombinedEvent> now() {
        const std::size_t parts = sources_.size() + 1;
        for (std::size_t n = 0; n < parts; n++) {
            const std::size_t part = (turn_ + n) % parts;
            auto found = part == 0 ? of_dataflow() : of_source(sources_[part - 1]);
            if (found) {
                turn_ = part + 1;
                return found;
            }
        }
        for (std::size_t n = sources_.size(); n > 0; n--) {
            if (sources_[n - 1].over) {
                sources_.erase(sources_.begin() + static_cast<std::ptrdiff_t>(n - 1));
            }
        }
        return std::nullopt;
    }

    CombinedEvent within(Deadline deadline) {
        for (;;) {
            if (auto found = now()) {
                return std::move(*found);
            }
            if (events_ ? closed_ : sources_.empty()) {
                return without(DoraEventType::AllInputsClosed);
            }
            int wait = -1;
            if (deadline) {
                const auto left = *deadline - std::chrono::steady_clock::now();
                if (left <= left.zero()) {
                    return without(DoraEventType::Timeout);
                }
                const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
                wait = ms > INT32_MAX ? INT32_MAX : static_cast<int>(ms);
            }
            if (!sleep(wait)) {
                return without(DoraEventType::Error, "poll: " + std::generic_category().message(errno));
            }
        }
    }

    /// Until one of the parts may have something; false for a failure.
    bool sleep(int ms) {
        ready_.clear();
        // A negative descriptor is passed over.
        ready_.push_back({events_ ? events_fd(*events_) : -1, POLLIN, 0});
        for (const auto &merged : sources_) {
            ready_.push_back({merged.source->fd(), POLLIN, 0});
        }
        if (::poll(ready_.data(), static_cast<nfds_t>(ready_.size()), ms) < 0) {
            return errno == EINTR;
        }
        for (std::size_t n = 0; n < sources_.size(); n++) {
            // Nothing to read any more, and nothing to come.
            const auto seen = ready_[n + 1].revents;
            sources_[n].over = seen != 0 && (seen & POLLIN) == 0;
        }
        return true;
    }

    std::optional<Box<Events>> events_;
    bool closed_ = false;
    std::vector<detail::Merged> sources_;
    std::vector<pollfd> ready_;
    /// 0 for the dataflow, then the sources.
    std::size_t turn_ = 0;
};

/// The events of a node, for other sources to be merged in.
inline CombinedEvents dora_events_into_combined(Box<Events> events) { return CombinedEvents(std::move(events)); }

/// Without a dataflow among them.
inline CombinedEvents empty_combined_events() { return CombinedEvents(); }

/// Merges a source in. What is returned tells its values from those of others.
template <class T>
ForeignEvents<T> merge_source(CombinedEvents &into, std::shared_ptr<ForeignSource<T>> source) {
    return ForeignEvents<T>(into.add(std::make_unique<detail::SourceOf<T>>(std::move(source))));
}

namespace detail {

/// A queue between threads that rings an eventfd.
template <class T>
class Channel final : public ForeignSource<T> {
public:
    explicit Channel(std::size_t limit) : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), limit_(limit) {
        if (fd_ < 0) {
            throw Error("no eventfd for a channel: " + std::generic_category().message(errno));
        }
    }
    Channel(const Channel &) = delete;
    Channel &operator=(const Channel &) = delete;
    ~Channel() override { ::close(fd_); }

    int fd() const override { return fd_; }
    std::optional<T> take() override {
        const std::lock_guard<std::mutex> guard(lock_);
        if (waiting_.empty()) {
            std::uint64_t rings = 0;
            // The end keeps ringing. Nothing to take back is fine.
            [[maybe_unused]] const auto count = ended_ ? 0 : ::read(fd_, &rings, sizeof rings);
            return std::nullopt;
        }
        std::optional<T> value(std::move(waiting_.front()));
        waiting_.pop_front();
        return value;
    }
    bool ended() const override {
        const std::lock_guard<std::mutex> guard(lock_);
        return ended_;
    }

    bool send(T value) {
        const std::lock_guard<std::mutex> guard(lock_);
        if (waiting_.size() >= limit_) {
            return false;
        }
        waiting_.push_back(std::move(value));
        return waiting_.size() > 1 || ring();
    }
    void end() {
        const std::lock_guard<std::mutex> guard(lock_);
        ended_ = true;
        ring();
    }

private:
    /// Fails only when the counter is full, and then it is readable anyway.
    bool ring() const {
        const std::uint64_t once = 1;
        return ::write(fd_, &once, sizeof once) == sizeof once || errno == EAGAIN;
    }

    int fd_;
    std::size_t limit_;
    mutable std::mutex lock_;
    std::deque<T> waiting_;
    bool ended_ = false;
};

} // namespace detail

/// Sends into combined events, from any thread; copies of it do, too. When the last one is gone the source has ended.
template <class T>
class ForeignSender final {
public:
    explicit ForeignSender(const std::shared_ptr<detail::Channel<T>> &channel)
        : open_(std::make_shared<Open>(channel)) {}
    /// False when nobody receives any more, or as many as the limit are waiting; then the value is gone. Never waits.
    bool send(T value) const {
        const auto channel = open_->channel.lock();
        return channel != nullptr && channel->send(std::move(value));
    }

private:
    struct Open {
        explicit Open(std::weak_ptr<detail::Channel<T>> to) noexcept : channel(std::move(to)) {}
        Open(const Open &) = delete;
        Open &operator=(const Open &) = delete;
        ~Open() {
            if (const auto there = channel.lock()) {
                there->end();
            }
        }
        std::weak_ptr<detail::Channel<T>> channel;
    };

    std::shared_ptr<Open> open_;
};

/// Merges a queue in that other threads send into. At most `limit` values wait in it.
template <class T>
std::pair<ForeignSender<T>, ForeignEvents<T>> merge_channel(CombinedEvents &into, std::size_t limit = 1024) {
    auto channel = std::make_shared<detail::Channel<T>>(limit);
    ForeignSender<T> sender(channel);
    return {std::move(sender), merge_source<T>(into, std::move(channel))};
}

} // namespace dora

#endif // DORA_MERGE_H
