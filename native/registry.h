// What the threads of the process share: the UMEM, the ports, and the queues by handle.
#pragma once
#include <array>
#include <atomic>
#include <memory>
#include <mutex>

#include "port.h"
#include "umem.h"

namespace xsiftr {

constexpr uint32_t kMaxPorts = 16;
constexpr uint32_t kMaxHandles = kMaxPorts * XSIFTR_MAX_QUEUES;

// Set-up and counters go through the lock. The batch calls do not: a queue has one owner, and a port whose queue is owned cannot be closed.
struct Registry {
  std::mutex lock;
  std::unique_ptr<Umem> umem;
  std::array<std::unique_ptr<Port>, kMaxPorts> ports;
  // Queue `q` of port `p` at p * XSIFTR_MAX_QUEUES + q.
  std::array<std::atomic<Queue*>, kMaxHandles> queues = {};

  // Never destroyed: at exit the kernel takes everything back, while worker threads may still be running.
  static Registry& Get() {
    static Registry* registry = new Registry;
    return *registry;
  }

  // The queue of a handle if `env` owns it, else null.
  Queue* Owned(napi_env env, int32_t handle) const {
    if (static_cast<uint32_t>(handle) >= kMaxHandles) return nullptr;
    Queue* queue = queues[static_cast<uint32_t>(handle)].load(std::memory_order_acquire);
    return queue != nullptr && queue->owner.load(std::memory_order_relaxed) == env ? queue : nullptr;
  }
};

}  // namespace xsiftr
