#include "queue.h"

#include <errno.h>
#include <sched.h>
#include <sys/socket.h>

#include <cstring>

#include "clock.h"
#include "sender.h"
#include "umem.h"
#include "xdp_shared.h"

// Newer than the headers that we may be built with; the kernel's numbers (include/uapi/linux/if_xdp.h).
#ifndef XDP_PKT_CONTD
#define XDP_PKT_CONTD (1 << 0)
#endif

namespace xsiftr {
namespace {

constexpr uint32_t kEthLen = 14;

// A time stamp older than this is no stamp of this frame.
constexpr int64_t kStampWindowNs = 10000000000LL;

// Which errors of a transmit wake-up mean "come again": budget used up, device ring or socket memory full.
bool IsTransient(int error) { return error == EAGAIN || error == EBUSY || error == ENOBUFS; }

void ReadRing(const uint32_t* producer, const uint32_t* consumer, uint32_t size, int32_t* out) {
  // The consumer first: read the other way round the producer could seem to lie behind.
  uint32_t c = __atomic_load_n(consumer, __ATOMIC_ACQUIRE);
  uint32_t p = __atomic_load_n(producer, __ATOMIC_ACQUIRE);
  out[0] = static_cast<int32_t>(size);
  out[1] = static_cast<int32_t>(p);
  out[2] = static_cast<int32_t>(c);
  out[3] = static_cast<int32_t>(p - c);
}

}  // namespace

Queue::~Queue() {
  if (socket != nullptr) xsk_socket__delete(socket);
}

void Queue::Start(const QueueSettings& settings) { settings_ = settings; }

void Queue::Bind(const FrameStack& stack, double* page) {
  stack_ = stack;
  page_ = page;
  Refill();
}

void Queue::Unbind() {
  sender_rows_ = 0;
  while (held_.load(std::memory_order_acquire)) sched_yield();
  stack_ = FrameStack();
  page_ = nullptr;
}

int32_t Queue::Receive(int32_t* table, int32_t max) {
  int64_t now = WriteClock(page_);
  uint32_t index = 0;
  uint32_t n = max > 0 ? xsk_ring_cons__peek(&rx, static_cast<uint32_t>(max), &index) : 0;
  int32_t rows = 0;
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < n; i++) {
    if (i + 2 < n) __builtin_prefetch(settings_.umem + xsk_ring_cons__rx_desc(&rx, index + i + 2)->addr);
    int32_t* row = table + rows * kRowWords;
    if (Row(*xsk_ring_cons__rx_desc(&rx, index + i), now, row)) {
      bytes += static_cast<uint32_t>(row[kColLength]);
      rows++;
    }
  }
  if (n > 0) {
    xsk_ring_cons__release(&rx, n);
    stats_[kRxPackets].Add(static_cast<uint32_t>(rows));
    stats_[kRxBytes].Add(bytes);
  }
  Refill();
  return rows;
}

// Fills a row from a descriptor; false when the frame was refused and recycled.
bool Queue::Row(const xdp_desc& desc, int64_t batch_ns, int32_t* row) {
  uint32_t frame = static_cast<uint32_t>(desc.addr >> kFrameShift);
  uint32_t offset = static_cast<uint32_t>(desc.addr) & (kFrameSize - 1);
  bool more = (desc.options & XDP_PKT_CONTD) != 0;
  if (more || in_chain_ || desc.len > settings_.max_frame) {
    DropOversize(frame, desc.len, more);
    return false;
  }
  uint8_t* data = settings_.umem + desc.addr;
  int64_t time = batch_ns;
  if (settings_.timestamp) {
    bool stamped = false;
    xsiftr_meta meta;
    if (offset >= sizeof(meta)) {
      memcpy(&meta, data - sizeof(meta), sizeof(meta));
      stamped = meta.magic == XSIFTR_META_MAGIC && batch_ns - static_cast<int64_t>(meta.ns) < kStampWindowNs &&
                static_cast<int64_t>(meta.ns) - batch_ns < kStampWindowNs;
    }
    if (stamped) {
      time = static_cast<int64_t>(meta.ns);
      memset(data - sizeof(meta), 0, sizeof(meta));
    } else {
      stats_[kRxNoTimestamp].Add(1);
    }
  }
  RxVerdict verdict = InspectRx(data, desc.len, settings_.rxcsum);
  if (verdict.flags & kFlagL4Partial) stats_[kRxCsumPartial].Add(1);
  if (verdict.flags & (kFlagL4Bad | kFlagIpBad)) stats_[kRxCsumBad].Add(1);
  row[kColFrame] = static_cast<int32_t>(frame);
  row[kColOffset] = static_cast<int32_t>(offset);
  row[kColLength] = static_cast<int32_t>(desc.len);
  row[kColFlags] = verdict.flags | kFlagEop;
  row[kColHash] = static_cast<int32_t>(verdict.hash);
  row[kColVlan] = -1;
  row[kColTime] = static_cast<int32_t>(static_cast<uint32_t>(time / 1000));
  row[kColSpare] = 0;
  return true;
}

// A packet counts once, with its whole length, at its last descriptor.
void Queue::DropOversize(uint32_t frame, uint32_t length, bool more) {
  chain_length_ = (in_chain_ ? chain_length_ : 0) + length;
  in_chain_ = more;
  Recycle(frame);
  if (more) return;
  stats_[kRxOversize].Add(1);
  stats_[kRxOversizeMax].Max(chain_length_);
}

void Queue::Recycle(uint32_t frame) {
  int32_t top = *stack_.top;
  if (top >= 0 && top < stack_.capacity) {
    stack_.free[top] = static_cast<int32_t>(frame);
    *stack_.top = top + 1;
  }
}

void Queue::Refill() {
  uint32_t room = xsk_prod_nb_free(&fill, fill.size);
  int32_t spare = *stack_.top - stack_.reserve;
  if (room > 0) {
    if (spare > 0 && *stack_.top <= stack_.capacity) {
      uint32_t n = static_cast<uint32_t>(spare) < room ? static_cast<uint32_t>(spare) : room;
      uint32_t index = 0;
      xsk_ring_prod__reserve(&fill, n, &index);
      int32_t top = *stack_.top;
      for (uint32_t i = 0; i < n; i++) {
        *xsk_ring_prod__fill_addr(&fill, index + i) = static_cast<uint64_t>(stack_.free[--top]) << kFrameShift;
      }
      *stack_.top = top;
      xsk_ring_prod__submit(&fill, n);
    } else if (room > fill.size - fill.size / 4) {
      stats_[kRxNoFrames].Add(1);
    }
  }
  if (xsk_ring_prod__needs_wakeup(&fill)) KickRx();
}

void Queue::KickRx() {
  stats_[kRxWakeups].Add(1);
  recvfrom(fd(), nullptr, 0, MSG_DONTWAIT, nullptr, nullptr);
}

bool Queue::ValidTxRow(const int32_t* row) const {
  uint32_t frame = static_cast<uint32_t>(row[kColFrame]);
  uint32_t offset = static_cast<uint32_t>(row[kColOffset]);
  uint32_t length = static_cast<uint32_t>(row[kColLength]);
  return frame < settings_.umem_frames && offset < kFrameSize && length >= kEthLen && length <= kFrameSize - offset;
}

int32_t Queue::Transmit(int32_t* table, int32_t rows) {
  if (rows <= 0) return 0;
  uint32_t n = static_cast<uint32_t>(rows);
  uint32_t room = xsk_prod_nb_free(&tx, n);
  if (room < n) n = room;
  uint32_t taken = 0;
  uint64_t bytes = 0;
  for (; taken < n; taken++) {
    const int32_t* row = table + taken * kRowWords;
    if (!ValidTxRow(row)) break;
    uint64_t addr = (static_cast<uint64_t>(row[kColFrame]) << kFrameShift) + static_cast<uint32_t>(row[kColOffset]);
    uint32_t length = static_cast<uint32_t>(row[kColLength]);
    if (row[kColFlags] & (kFlagTxIpSum | kFlagTxL4Sum)) InsertChecksums(settings_.umem + addr, length, row[kColFlags]);
    xdp_desc* desc = xsk_ring_prod__tx_desc(&tx, tx.cached_prod + taken);
    desc->addr = addr;
    desc->len = length;
    desc->options = 0;
    bytes += length;
  }
  if (taken > 0) {
    uint32_t index = 0;
    xsk_ring_prod__reserve(&tx, taken, &index);
    xsk_ring_prod__submit(&tx, taken);
    in_flight_ += taken;
    stats_[kTxPackets].Add(taken);
    stats_[kTxBytes].Add(bytes);
    StartTx(taken);
  }
  return static_cast<int32_t>(taken);
}

// Frames posted that the kernel has not taken. The producer is read from the ring: the Sender may ask, too.
uint32_t Queue::Unsent() const {
  uint32_t consumer = __atomic_load_n(tx.consumer, __ATOMIC_ACQUIRE);
  return __atomic_load_n(tx.producer, __ATOMIC_ACQUIRE) - consumer;
}

uint32_t Queue::SenderBacklog() const { return sending_.load(std::memory_order_relaxed) ? Unsent() : 0; }

void Queue::StartTx(uint32_t rows) {
  // Pairs with the fence in Send: either the Sender sees what was just posted, or we see that it has stopped.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (sending_.load(std::memory_order_relaxed)) return;
  if (sender_rows_ > 0 && rows >= static_cast<uint32_t>(sender_rows_) && HandOver()) return;
  KickTx();
}

bool Queue::HandOver() {
  if (settings_.zero_copy || held_.load(std::memory_order_acquire)) return false;
  held_.store(true, std::memory_order_relaxed);
  sending_.store(true, std::memory_order_relaxed);
  if (Sender::Get().Take(this)) {
    stats_[kTxHandedOver].Add(1);
    return true;
  }
  sending_.store(false, std::memory_order_relaxed);
  held_.store(false, std::memory_order_relaxed);
  return false;
}

void Queue::Send() {
  for (;;) {
    bool drained = KickTx();
    sending_.store(false, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    // What the kernel has no room for is the next reclaim's. What was posted since the last look is still ours.
    if (!drained || Unsent() == 0) break;
    sending_.store(true, std::memory_order_relaxed);
  }
  held_.store(false, std::memory_order_release);
}

// Copy mode sends inside this call, a bounded number of frames a time: come again until the ring is drained (true) or the kernel
// has no room.
bool Queue::KickTx() {
  uint32_t last = __atomic_load_n(tx.consumer, __ATOMIC_ACQUIRE);
  int idle = 0;
  for (uint32_t calls = 0; calls <= tx.size && xsk_ring_prod__needs_wakeup(&tx); calls++) {
    stats_[kTxWakeups].AddShared(1);
    if (calls > 0) stats_[kTxKickAgain].AddShared(1);
    int error = sendto(fd(), nullptr, 0, MSG_DONTWAIT, nullptr, 0) < 0 ? errno : 0;
    if (error != 0 && !IsTransient(error)) {
      stats_[kTxKickErrors].AddShared(1);
      return false;
    }
    if (settings_.zero_copy || Unsent() == 0) return true;
    // Without progress a second time the device is full; the next reclaim comes back.
    uint32_t consumer = __atomic_load_n(tx.consumer, __ATOMIC_ACQUIRE);
    if (consumer == last && ++idle == 2) return false;
    last = consumer;
  }
  return Unsent() == 0;
}

int32_t Queue::Reclaim(int32_t* out, int32_t max) {
  if (in_flight_ == 0 || max <= 0) return 0;
  uint32_t index = 0;
  uint32_t n = xsk_ring_cons__peek(&comp, static_cast<uint32_t>(max), &index);
  for (uint32_t i = 0; i < n; i++) {
    out[i] = static_cast<int32_t>(*xsk_ring_cons__comp_addr(&comp, index + i) >> kFrameShift);
  }
  if (n > 0) {
    xsk_ring_cons__release(&comp, n);
    in_flight_ -= n;
  }
  if (in_flight_ > 0 && !sending_.load(std::memory_order_relaxed) && Unsent() > 0) KickTx();
  return static_cast<int32_t>(n);
}

void Queue::ReadStats(double* out) const {
  for (int i = 0; i < kOwnStats; i++) out[i] = stats_[i].Get();
  xdp_statistics s = {};
  socklen_t length = sizeof(s);
  if (getsockopt(fd(), SOL_XDP, XDP_STATISTICS, &s, &length) != 0) return;
  out[kRxDropped] = static_cast<double>(s.rx_dropped);
  out[kRxInvalidDescs] = static_cast<double>(s.rx_invalid_descs);
  out[kTxInvalidDescs] = static_cast<double>(s.tx_invalid_descs);
  out[kRxRingFull] = static_cast<double>(s.rx_ring_full);
  out[kRxFillRingEmptyDescs] = static_cast<double>(s.rx_fill_ring_empty_descs);
  out[kTxRingEmptyDescs] = static_cast<double>(s.tx_ring_empty_descs);
}

void Queue::ReadRings(int32_t* out) const {
  ReadRing(rx.producer, rx.consumer, rx.size, out);
  ReadRing(tx.producer, tx.consumer, tx.size, out + 4);
  ReadRing(fill.producer, fill.consumer, fill.size, out + 8);
  ReadRing(comp.producer, comp.consumer, comp.size, out + 12);
}

}  // namespace xsiftr
