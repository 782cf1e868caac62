// One node of a pair at the work of benches/own, through rclcpp. README.md beside this package says what its words mean.
//
// `first` sends what is paced or streamed, and answers round trips. `second` takes, or makes the round trips, and writes its
// samples. A stream is kept from overrunning the reader's queue by confirmations on the way back.

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <time.h>
#include <vector>

#include "rclcpp/rclcpp.hpp"
#include "std_msgs/msg/u_int8_multi_array.hpp"

using Message = std_msgs::msg::UInt8MultiArray;

namespace {

// Payloads up to this size are written and read whole, bytes.
constexpr std::size_t kWhole = 4096;
// A stream's reader confirms every so many messages, and its sender is never more than this ahead.
constexpr std::uint64_t kConfirm = 25, kAhead = 50;
constexpr std::uint64_t kWarmUp = 100;

std::uint64_t now_ns() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(t.tv_nsec);
}

void sleep_until_ns(std::uint64_t due) {
  timespec t{static_cast<time_t>(due / 1'000'000'000u), static_cast<long>(due % 1'000'000'000u)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, nullptr) == EINTR) {
  }
}

struct Job {
  std::string work, role, samples;
  bool spin = false;
  std::size_t size = 0;
  std::uint64_t count = 0, period_ns = 1'000'000, batch = 1;

  std::uint64_t warm_up() const { return std::min(kWarmUp, count / 10); }
};

std::uint64_t number(const std::map<std::string, std::string> &words, const std::string &name) {
  const auto found = words.find(name);
  if (found == words.end()) throw std::runtime_error(name + "= is missing");
  std::size_t end = 0;
  const auto value = std::stoull(found->second, &end);
  if (end != found->second.size()) throw std::runtime_error(name + "=" + found->second + " wants a number");
  return value;
}

Job job_from(int argc, char **argv) {
  std::map<std::string, std::string> words;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto at = word.find('=');
    if (at != std::string::npos) words[word.substr(0, at)] = word.substr(at + 1);
  }
  Job job;
  job.work = words["work"];
  job.role = words["role"];
  job.samples = words["samples"];
  job.spin = words["wait"] == "spin";
  job.size = number(words, "size");
  job.count = number(words, "count");
  job.batch = number(words, "batch");
  if (words.count("hz") != 0) job.period_ns = 1'000'000'000u / std::max<std::uint64_t>(number(words, "hz"), 1);
  if (job.size < 8 || job.size % 8 != 0) throw std::runtime_error("size= wants a multiple of 8");
  if (job.batch == 0 || job.count / job.batch < 2) throw std::runtime_error("count= makes fewer than two samples");
  if (job.role == "second" && job.samples.empty()) throw std::runtime_error("samples= is missing");
  return job;
}

// Writes `first`, and `number` in the rest.
void fill(std::vector<std::uint8_t> &bytes, std::uint64_t first, std::uint64_t number) {
  if (bytes.size() <= kWhole) {
    for (std::size_t at = 0; at < bytes.size(); at += 8) std::memcpy(&bytes[at], &number, 8);
  }
  std::memcpy(&bytes[bytes.size() - 8], &number, 8);
  std::memcpy(bytes.data(), &first, 8);
}

// The first word of a message that is `number`, and whole.
std::uint64_t check(const std::vector<std::uint8_t> &bytes, std::size_t size, std::uint64_t number) {
  if (bytes.size() != size) throw std::runtime_error("a message has the wrong size");
  const auto word = [&](std::size_t at) {
    std::uint64_t value = 0;
    std::memcpy(&value, &bytes[at], 8);
    return value;
  };
  for (std::size_t at = size <= kWhole ? 8 : size - 8; at < size && size > 8; at += 8) {
    if (word(at) != number)
      throw std::runtime_error("message " + std::to_string(word(at)) + " came in the place of " + std::to_string(number));
  }
  return word(0);
}

class Node {
 public:
  explicit Node(const Job &job) : job_(job), node_(std::make_shared<rclcpp::Node>("bench_" + job.role)) {
    const auto qos = rclcpp::QoS(rclcpp::KeepLast(100)).reliable();
    const bool first = job.role == "first";
    publisher_ = node_->create_publisher<Message>(first ? "bench_there" : "bench_back", qos);
    subscription_ = node_->create_subscription<Message>(
        first ? "bench_back" : "bench_there", qos, [this](Message::ConstSharedPtr message) { on_(*message); });
    executor_.add_node(node_);
    while (publisher_->get_subscription_count() == 0 || subscription_->get_publisher_count() == 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    // Nothing is handled before the work begins; the other side may be a moment later in finding us.
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
  }

  void play() {
    if (job_.role == "first") {
      if (job_.work == "paced") send_paced();
      else if (job_.work == "stream") send_stream();
      else answer();
      // Leaves the other side time to read what was sent.
      std::this_thread::sleep_for(std::chrono::seconds(1));
    } else if (job_.work == "paced") take_paced();
    else if (job_.work == "stream") take_stream();
    else ask();
  }

 private:
  void send(std::uint64_t first, std::uint64_t number) {
    auto message = std::make_unique<Message>();
    message->data.resize(job_.size);
    fill(message->data, first, number);
    publisher_->publish(std::move(message));
  }

  // Handles messages until `done` says so.
  void run_until(const std::function<bool()> &done) {
    while (rclcpp::ok() && !done()) {
      if (job_.spin) executor_.spin_some();
      else executor_.spin_once();
    }
  }

  void record(double ns) { samples_.push_back(ns); }

  void save() const {
    std::ofstream file(job_.samples, std::ios::binary);
    file.write(reinterpret_cast<const char *>(samples_.data()),
               static_cast<std::streamsize>(samples_.size() * sizeof(double)));
    if (!file.flush()) throw std::runtime_error("failed to write " + job_.samples);
  }

  void send_paced() {
    const auto start = now_ns() + 50'000'000u;
    for (std::uint64_t i = 0; i < job_.count; ++i) {
      sleep_until_ns(start + i * job_.period_ns);
      send(now_ns(), i);
    }
  }

  void take_paced() {
    samples_.reserve(job_.count);
    std::uint64_t next = 0;
    on_ = [&](const Message &message) {
      const auto stamp = check(message.data, job_.size, next);
      const auto now = now_ns();
      if (next++ >= job_.warm_up()) record(static_cast<double>(now - stamp));
    };
    run_until([&] { return next == job_.count; });
    save();
  }

  void send_stream() {
    std::uint64_t confirmed = 0;
    on_ = [&](const Message &message) { std::memcpy(&confirmed, message.data.data(), 8); };
    for (std::uint64_t i = 0; i < job_.count; ++i) {
      run_until([&] { return i - confirmed < kAhead; });
      send(i, i);
    }
  }

  void take_stream() {
    samples_.reserve(job_.count / job_.batch + 1);
    std::uint64_t next = 0, since = 0;
    on_ = [&](const Message &message) {
      check(message.data, job_.size, next);
      if (next % job_.batch == 0) {
        const auto now = now_ns();
        if (next > 0) record(static_cast<double>(now - since) / static_cast<double>(job_.batch));
        since = now;
      }
      if (++next % kConfirm == 0) {
        auto confirmation = std::make_unique<Message>();
        confirmation->data.resize(8);
        fill(confirmation->data, next, next);
        publisher_->publish(std::move(confirmation));
      }
    };
    run_until([&] { return next == job_.count; });
    save();
  }

  void ask() {
    samples_.reserve(job_.count / job_.batch);
    std::uint64_t next = 0;
    on_ = [&](const Message &message) {
      check(message.data, job_.size, next);
      ++next;
    };
    const auto trips = job_.count / job_.batch * job_.batch;
    for (std::uint64_t first = 0; first < trips; first += job_.batch) {
      const auto start = now_ns();
      for (std::uint64_t i = first; i < first + job_.batch; ++i) {
        send(i, i);
        run_until([&] { return next > i; });
      }
      if (first >= job_.warm_up())
        record(static_cast<double>(now_ns() - start) / static_cast<double>(2 * job_.batch));
    }
    save();
  }

  void answer() {
    std::uint64_t next = 0;
    on_ = [&](const Message &message) {
      check(message.data, job_.size, next);
      send(next, next);
      ++next;
    };
    run_until([&] { return next == job_.count / job_.batch * job_.batch; });
  }

  Job job_;
  std::shared_ptr<rclcpp::Node> node_;
  rclcpp::executors::SingleThreadedExecutor executor_;
  rclcpp::Publisher<Message>::SharedPtr publisher_;
  rclcpp::Subscription<Message>::SharedPtr subscription_;
  std::function<void(const Message &)> on_ = [](const Message &) {};
  std::vector<double> samples_;
};

}  // namespace

int main(int argc, char **argv) {
  try {
    const Job job = job_from(argc, argv);
    rclcpp::init(argc, argv);
    Node(job).play();
    rclcpp::shutdown();
    return 0;
  } catch (const std::exception &e) {
    std::cerr << "bench_rclcpp: " << e.what() << "\n";
    return 1;
  }
}
