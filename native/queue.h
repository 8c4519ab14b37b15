// One queue of a port: a socket with its four rings, and the batch calls on it.
#pragma once
#include <node_api.h>
#include <xdp/xsk.h>

#include <atomic>
#include <cstdint>

#include "packet.h"

namespace xsiftr {

// A counter that any thread reads. One thread writes it, with Add and Max, or several do, with AddShared.
class Counter {
 public:
  void AddShared(uint64_t n) { value_.fetch_add(n, std::memory_order_relaxed); }
  void Add(uint64_t n) { value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  void Max(uint64_t n) {
    if (n > value_.load(std::memory_order_relaxed)) value_.store(n, std::memory_order_relaxed);
  }
  double Get() const { return static_cast<double>(value_.load(std::memory_order_relaxed)); }

 private:
  std::atomic<uint64_t> value_{0};
};

// Order and names of QSTAT in src/driver/native.ts; those that the kernel keeps follow after these.
enum QueueStat {
  kRxPackets,
  kRxBytes,
  kTxPackets,
  kTxBytes,
  kRxCsumPartial,
  kRxCsumBad,
  kRxOversize,
  kRxOversizeMax,
  kRxWakeups,
  kTxWakeups,
  kTxKickAgain,
  kTxKickErrors,
  kRxNoTimestamp,
  kRxNoFrames,
  kTxHandedOver,
  kOwnStats,
  kClaimedDropped = kOwnStats,
  kRxDropped,
  kRxInvalidDescs,
  kTxInvalidDescs,
  kRxRingFull,
  kRxFillRingEmptyDescs,
  kTxRingEmptyDescs,
  kQueueStats
};

// The frame stack of the thread that owns the queue (FrameStack of src/rings/link.ts). The arrays are kept alive by the owner's references.
struct FrameStack {
  int32_t* free = nullptr;
  int32_t* top = nullptr;
  int32_t capacity = 0;
  int32_t reserve = 0;
};

struct QueueSettings {
  uint8_t* umem = nullptr;
  uint32_t umem_frames = 0;
  uint32_t max_frame = 0;
  RxCsum rxcsum = RxCsum::kStrict;
  bool timestamp = false;
  bool zero_copy = false;
};

// Made and destroyed by the main thread with its port; in between used by the one thread whose environment is `owner`.
class Queue {
 public:
  Queue() = default;
  ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  // Called once the socket is bound.
  void Start(const QueueSettings& settings);

  void Bind(const FrameStack& stack, double* page);
  void Unbind();

  int32_t Receive(int32_t* table, int32_t max);
  // Rows taken: ends at a full ring and before a row that is not within one frame.
  int32_t Transmit(int32_t* table, int32_t n);
  int32_t Reclaim(int32_t* out, int32_t max);
  // From now on batches of at least `rows` rows are sent by the Sender if it is free; 0: never, as at the beginning.
  void UseSender(int32_t rows) { sender_rows_ = rows; }
  // Frames that the Sender has yet to send; 0 when it is not at work on this queue.
  uint32_t SenderBacklog() const;
  // Called by the Sender.
  void Send();
  int32_t TxRoom() { return static_cast<int32_t>(xsk_prod_nb_free(&tx, tx.size)); }
  void Refill();

  int fd() const { return xsk_socket__fd(socket); }
  void ReadStats(double* out) const;   // all but kClaimedDropped
  void ReadRings(int32_t* out) const;

  xsk_socket* socket = nullptr;
  xsk_ring_cons rx = {};
  xsk_ring_prod tx = {};
  xsk_ring_prod fill = {};
  xsk_ring_cons comp = {};
  std::atomic<napi_env> owner{nullptr};

 private:
  bool Row(const xdp_desc& desc, int64_t batch_ns, int32_t* row);
  bool ValidTxRow(const int32_t* row) const;
  void DropOversize(uint32_t frame, uint32_t length, bool more);
  void Recycle(uint32_t frame);
  uint32_t Unsent() const;
  void StartTx(uint32_t rows);
  bool HandOver();
  bool KickTx();
  void KickRx();

  QueueSettings settings_;
  FrameStack stack_;
  double* page_ = nullptr;
  // A packet of several descriptors is being dropped; its length so far.
  bool in_chain_ = false;
  uint32_t chain_length_ = 0;
  // Frames posted and not yet reclaimed.
  uint32_t in_flight_ = 0;
  int32_t sender_rows_ = 0;
  // The Sender is at work: what is posted meanwhile is sent. And: it may still touch the queue.
  std::atomic<bool> sending_{false};
  std::atomic<bool> held_{false};
  Counter stats_[kOwnStats];
};

}  // namespace xsiftr
