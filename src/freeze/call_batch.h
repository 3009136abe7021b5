// CallBatch: system calls to be made by a stopped thread, all with one resume and one stop.
//
// A batch is built here, written into the injected region of the target (see injection.h), run there by a few
// instructions of our own, and read back. It owns nothing in the target. Not thread-safe. A batch that was not run
// leaves nothing behind.
//
// Requires: what one batch holds fits the region (kRegionBytes); add() and put() CHECK it, room() tells what is left.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "base/result.h"
#include "freeze/remote_address.h"

namespace godwit::freeze {

class CallBatch {
 public:
  // The injected region's layout: code page, then calls growing up, then data growing down from the end.
  static constexpr size_t kCodeBytes = 4096;
  static constexpr size_t kRegionBytes = 1 << 18;

  explicit CallBatch(RemoteAddress region) : region_(region) {}

  // Adds a system call; returns its index. Arguments are plain values or remote addresses as numbers.
  size_t add(uint64_t number, std::array<uint64_t, 6> arguments = {});
  // As add(); argument `position` (0 to 5) is replaced by the result of call `earlier`.
  size_t add_using(uint64_t number, std::array<uint64_t, 6> arguments, unsigned position, size_t earlier);

  // Room for `bytes` in the target, filled with them; 16-byte aligned. The address is good for arguments.
  RemoteAddress put(std::span<const std::byte> bytes);
  template <class T>
  RemoteAddress put_value(const T& value) {
    return put(std::as_bytes(std::span(&value, 1)));
  }
  RemoteAddress put_string(const char* text) { return put(std::as_bytes(std::span(text, std::strlen(text) + 1))); }
  // Room for `size` zero bytes that a call will fill.
  RemoteAddress reserve(size_t size);

  // Bytes still free for calls and data.
  size_t room() const;
  size_t size() const { return calls_.size(); }
  bool empty() const { return calls_.empty(); }

  // After the run: what the call returned, -errno included.
  int64_t result(size_t index) const;
  // After the run: the bytes at an address that put() or reserve() gave.
  template <class T>
  T read(RemoteAddress address) const {
    T value;
    read_bytes(address, std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  void read_bytes(RemoteAddress address, std::span<std::byte> into) const;
  // The first call that failed, as an Error that names it; success otherwise.
  Result<void> all_succeeded(const char* what) const;

 private:
  friend class RemoteCalls;
  struct Call {  // as the injected code reads it, see batch_code.S
    uint64_t number;
    std::array<uint64_t, 6> arguments;
    int64_t result;
    uint64_t reference;  // 0, or (position + 1) << 32 | index of the earlier call
  };

  RemoteAddress region_;
  std::vector<Call> calls_;
  std::vector<std::byte> data_;  // the end of the region, lowest address last put
};

}  // namespace godwit::freeze
