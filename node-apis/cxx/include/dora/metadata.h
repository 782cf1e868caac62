// Parameters that travel with a message.
#ifndef DORA_METADATA_H
#define DORA_METADATA_H

#include "dora/c_api.h"

namespace dora {

/// Types of parameters.
enum class MetadataValueType : std::uint8_t {
    Bool,
    Integer,
    Float,
    String,
    ListInt,
    ListFloat,
    ListString,
    Timestamp,
};

/// The parameters of a message, and when it was sent. Functions that cannot do their work throw Error.
class Metadata final {
public:
    Metadata() : handle_(detail::checked(dora_new_metadata())) {}
    /// A copy of what an input event, or other metadata, has.
    explicit Metadata(const void *source) : handle_(detail::checked(dora_copy_metadata(source))) {}
    Metadata(Metadata &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Metadata &operator=(Metadata &&other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    Metadata(const Metadata &) = delete;
    Metadata &operator=(const Metadata &) = delete;
    ~Metadata() {
        if (handle_ != nullptr) {
            dora_free_metadata(handle_);
        }
    }

    Metadata copy() const { return Metadata(static_cast<const void *>(handle_)); }

    /// When the input was sent: hybrid logical clock, NTP64. 0 when this is of no input.
    std::uint64_t timestamp() const { return dora_metadata_timestamp(handle_); }

    MetadataValueType type(Str key) const {
        const int found = dora_metadata_type(handle_, key.data(), key.size());
        detail::check(found < 0 ? found : 0);
        return static_cast<MetadataValueType>(found);
    }
    bool contains(Str key) const { return dora_metadata_type(handle_, key.data(), key.size()) >= 0; }

    bool get_bool(Str key) const { return get<bool>(dora_metadata_get_bool, key); }
    std::int64_t get_int(Str key) const { return get<std::int64_t>(dora_metadata_get_int, key); }
    double get_float(Str key) const { return get<double>(dora_metadata_get_float, key); }
    /// Nanoseconds since 1970.
    std::int64_t get_timestamp(Str key) const { return get<std::int64_t>(dora_metadata_get_timestamp, key); }
    std::string get_str(Str key) const {
        const char *text = nullptr;
        std::size_t len = 0;
        detail::check(dora_metadata_get_string(handle_, key.data(), key.size(), &text, &len));
        return std::string(text, len);
    }
    Vec<std::int64_t> get_list_int(Str key) const {
        return list<std::int64_t>(dora_metadata_get_list_int, key);
    }
    Vec<double> get_list_float(Str key) const { return list<double>(dora_metadata_get_list_float, key); }
    Vec<std::string> get_list_string(Str key) const {
        Vec<std::string> texts;
        for (std::size_t index = 0, count = 1; index < count; index++) {
            const char *text = nullptr;
            std::size_t len = 0;
            const int status =
                dora_metadata_get_list_string(handle_, key.data(), key.size(), index, &text, &len, &count);
            if (status == DoraStatus_NotFound && count == 0) {
                break;
            }
            detail::check(status);
            texts.emplace_back(text, len);
        }
        return texts;
    }
    /// One parameter as JSON.
    std::string get_json(Str key) const { return json(key.data() != nullptr ? key.data() : "", key.size()); }
    /// All of them as a JSON object.
    std::string to_json() const { return json(nullptr, 0); }
    /// Their names, in alphabetical order.
    Vec<std::string> list_keys() const {
        Vec<std::string> keys;
        const std::int64_t count = dora_metadata_count(handle_);
        for (std::int64_t index = 0; index < count; index++) {
            const char *key = nullptr;
            std::size_t len = 0;
            detail::check(dora_metadata_key(handle_, static_cast<std::size_t>(index), &key, &len));
            keys.emplace_back(key, len);
        }
        return keys;
    }

    void set_bool(Str key, bool value) { set(dora_metadata_set_bool, key, value); }
    void set_int(Str key, std::int64_t value) { set(dora_metadata_set_int, key, value); }
    void set_float(Str key, double value) { set(dora_metadata_set_float, key, value); }
    void set_string(Str key, Str value) { set(dora_metadata_set_string, key, value.data(), value.size()); }
    void set_list_int(Str key, const Vec<std::int64_t> &list) {
        set(dora_metadata_set_list_int, key, list.data(), list.size());
    }
    void set_list_float(Str key, const Vec<double> &list) {
        set(dora_metadata_set_list_float, key, list.data(), list.size());
    }
    void set_list_string(Str key, const Vec<std::string> &list) {
        const detail::Texts texts(list);
        set(dora_metadata_set_list_string, key, texts.starts.data(), texts.lens.data(), list.size());
    }
    /// Nanoseconds since 1970.
    void set_timestamp(Str key, std::int64_t ns) { set(dora_metadata_set_timestamp, key, ns); }
    void remove(Str key) { detail::check(dora_metadata_remove(handle_, key.data(), key.size())); }

    void set_request_id(Str id) { set_string(DORA_REQUEST_ID, id); }
    void set_goal_id(Str id) { set_string(DORA_GOAL_ID, id); }
    void set_goal_status(Str status) { set_string(DORA_GOAL_STATUS, status); }
    /// Empty when there is none; likewise the next two.
    std::string request_id() const { return get_or_empty(DORA_REQUEST_ID); }
    std::string goal_id() const { return get_or_empty(DORA_GOAL_ID); }
    std::string goal_status() const { return get_or_empty(DORA_GOAL_STATUS); }

    /// For calls of the C API.
    void *handle() const noexcept { return handle_; }

private:
    template <class T, class F>
    T get(F getter, Str key) const {
        T value{};
        detail::check(getter(handle_, key.data(), key.size(), &value));
        return value;
    }
    template <class T, class F>
    Vec<T> list(F getter, Str key) const {
        const T *start = nullptr;
        std::size_t count = 0;
        detail::check(getter(handle_, key.data(), key.size(), &start, &count));
        return count == 0 ? Vec<T>() : Vec<T>(start, start + count);
    }
    template <class F, class... Args>
    void set(F setter, Str key, Args... args) {
        detail::check(setter(handle_, key.data(), key.size(), args...));
    }
    std::string json(const char *key, std::size_t key_len) const {
        const char *text = nullptr;
        std::size_t len = 0;
        detail::check(dora_metadata_json(handle_, key, key_len, &text, &len));
        return std::string(text, len);
    }
    std::string get_or_empty(Str key) const {
        const char *text = nullptr;
        std::size_t len = 0;
        const int status = dora_metadata_get_string(handle_, key.data(), key.size(), &text, &len);
        return status == DoraStatus_Ok ? std::string(text, len) : std::string();
    }

    void *handle_;
};

inline Box<Metadata> new_metadata() { return Box<Metadata>(Metadata()); }

} // namespace dora

#endif // DORA_METADATA_H
