// The one UMEM of the process: a mapping that the kernel's sockets and the ArrayBuffers of all threads share.
#pragma once
#include <xdp/xsk.h>

#include <cstdint>
#include <memory>

namespace xsiftr {

constexpr uint32_t kFrameShift = 12;
constexpr uint32_t kFrameSize = 1u << kFrameShift;

// The memory itself. Unmapped when the last holder (registry, port, ArrayBuffer of a thread) lets go.
class UmemMapping {
 public:
  explicit UmemMapping(uint32_t frames);  // throws SystemError
  ~UmemMapping();
  UmemMapping(const UmemMapping&) = delete;
  UmemMapping& operator=(const UmemMapping&) = delete;

  uint8_t* const base;
  const uint32_t frames;
  size_t bytes() const { return static_cast<size_t>(frames) << kFrameShift; }
};

// The mapping and its registration with the kernel. The registration lives in the first socket that is bound, so it is made
// with the first port and given up with the last. Main thread only.
struct Umem {
  std::shared_ptr<UmemMapping> mapping;
  uint32_t ring_size = 0;
  xsk_umem* registered = nullptr;
  bool zero_copy = false;  // what the first socket got; all others inherit it
  bool frags = false;
  int ports = 0;
  // Rings of the registering call; the first socket takes them over.
  xsk_ring_prod fill = {};
  xsk_ring_cons comp = {};

  int Register();  // 0 or a positive errno
  void Unregister();
};

}  // namespace xsiftr
