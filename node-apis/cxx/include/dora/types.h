// Text, slices and boxes of the C++ node API, and its error.
//
// The names are those of programs that were written for the cxx bridge of dora 1.1.0: rust::String, rust::Vec, rust::Slice,
// rust::Str, rust::Box, rust::Error. Here they are the standard library, and two small classes.
#ifndef DORA_TYPES_H
#define DORA_TYPES_H

#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace dora {

using Str = std::string_view;
template <class T>
using Vec = std::vector<T>;

/// What a function throws that has no other way to say that it failed.
class Error final : public std::exception {
public:
    explicit Error(std::string what) : what_(std::move(what)) {}
    const char *what() const noexcept override { return what_.c_str(); }

private:
    std::string what_;
};

/// Values that lie somewhere else: a place and a count. Copying one copies no values.
template <class T>
class Slice final {
public:
    using value_type = std::remove_cv_t<T>;

    Slice() noexcept = default;
    Slice(T *data, std::size_t size) noexcept : data_(data), size_(size) {}
    /// Of what has `data()` and `size()`: std::vector, std::array, std::string, std::span.
    template <class C, class = std::enable_if_t<std::is_convertible_v<decltype(std::declval<C &>().data()), T *>>>
    Slice(C &container) noexcept : data_(container.data()), size_(container.size()) {}
    template <class C, class = std::enable_if_t<std::is_convertible_v<decltype(std::declval<const C &>().data()), T *>>>
    Slice(const C &container) noexcept : data_(container.data()), size_(container.size()) {}

    T *data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    std::size_t length() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    T &operator[](std::size_t n) const noexcept { return data_[n]; }
    T &at(std::size_t n) const {
        if (n >= size_) {
            throw Error("a slice of " + std::to_string(size_) + " has no element " + std::to_string(n));
        }
        return data_[n];
    }
    T &front() const noexcept { return data_[0]; }
    T &back() const noexcept { return data_[size_ - 1]; }
    T *begin() const noexcept { return data_; }
    T *end() const noexcept { return data_ + size_; }

private:
    T *data_ = nullptr;
    std::size_t size_ = 0;
};

/// One object that is owned by whoever holds the box, and moved along with it. Nothing is allocated. A box that was moved from
/// is empty; looking into it throws.
template <class T>
class Box final {
public:
    using element_type = T;

    explicit Box(T &&value) : value_(std::move(value)) {}
    template <class... Args>
    static Box in_place(Args &&...args) {
        return Box(T(std::forward<Args>(args)...));
    }
    Box(Box &&other) noexcept : value_(std::move(other.value_)), full_(std::exchange(other.full_, false)) {}
    Box &operator=(Box &&other) noexcept {
        if (this != &other) {
            value_ = std::move(other.value_);
            full_ = std::exchange(other.full_, false);
        }
        return *this;
    }
    Box(const Box &) = delete;
    Box &operator=(const Box &) = delete;

    const T &operator*() const { return checked(); }
    T &operator*() { return const_cast<T &>(checked()); }
    const T *operator->() const { return &checked(); }
    T *operator->() { return const_cast<T *>(&checked()); }

    /// Moves the object to the heap; `from_raw` takes it back.
    T *into_raw() {
        T *raw = new T(std::move(**this));
        full_ = false;
        return raw;
    }
    static Box from_raw(T *raw) {
        Box box(std::move(*raw));
        delete raw;
        return box;
    }

private:
    const T &checked() const {
        if (!full_) {
            throw Error("this box was moved from and is empty");
        }
        return value_;
    }

    // What is left of it after it was moved is destroyed with the box: the classes here all allow that.
    T value_;
    bool full_ = true;
};

} // namespace dora

// Programs that include cxx.h as well have these names already.
#if !defined(DORA_NO_RUST_NAMES) && !defined(CXXBRIDGE1_RUST_STRING)
namespace rust {
using dora::Box;
using dora::Error;
using dora::Slice;
using dora::Str;
using String = std::string;
using dora::Vec;
} // namespace rust
#endif

#endif // DORA_TYPES_H
