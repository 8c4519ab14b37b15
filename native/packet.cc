#include "packet.h"

#include <cstring>

#include "toeplitz.h"

namespace xsiftr {
namespace {

constexpr uint32_t kEthLen = 14;
constexpr uint16_t kTypeIpv4 = 0x0800;
constexpr uint16_t kTypeIpv6 = 0x86dd;
enum : uint8_t { kIcmp = 1, kTcp = 6, kUdp = 17, kIcmp6 = 58 };
// RSS types of FreeBSD's mbuf.h, as src/rings/link.ts lists them.
enum : int32_t { kRssIpv4 = 129, kRssTcp4 = 130, kRssIpv6 = 131, kRssTcp6 = 132, kRssUdp4 = 135, kRssUdp6 = 137 };

uint16_t Be16(const uint8_t* p) { return static_cast<uint16_t>(p[0] << 8 | p[1]); }

// One's complement sum in the byte order of memory (RFC 1071, 2 (B): the sum does not depend on it, only its bytes swap).
// Plain 32-bit loads into 64 bits: the compiler makes vector code of it, and no carry is lost below 16 GiB.
uint64_t Sum(const uint8_t* p, uint32_t n) {
  uint64_t sum = 0;
  uint32_t words = n >> 2;
  for (uint32_t i = 0; i < words; i++) {
    uint32_t w;
    memcpy(&w, p + 4 * i, 4);
    sum += w;
  }
  p += n & ~3u;
  if (n & 2) {
    uint16_t w;
    memcpy(&w, p, 2);
    sum += w;
    p += 2;
  }
  if (n & 1) sum += *p;  // the missing byte is 0 and stands at the higher address
  return sum;
}

uint16_t Fold(uint64_t sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

// A 16-bit value as it lies in memory.
uint16_t Net16(uint32_t v) { return static_cast<uint16_t>((v & 0xff) << 8 | (v >> 8 & 0xff)); }

uint16_t Load16(const uint8_t* p) {
  uint16_t w;
  memcpy(&w, p, 2);
  return w;
}

// Where the transport header of a frame is and what its pseudo-header sums to.
struct Layout {
  int version = 0;              // 4, 6, or 0: neither
  uint8_t protocol = 0;         // transport protocol; 0xff: none that can be looked at (fragment, extension header)
  const uint8_t* ip = nullptr;
  uint32_t ip_header = 0;       // IPv4 header length
  const uint8_t* l4 = nullptr;
  uint32_t l4_length = 0;
  uint64_t pseudo = 0;          // of TCP, UDP, ICMPv6; 0 for ICMP, which has none
};

constexpr uint8_t kOpaque = 0xff;

// Finds the headers. False when the frame is not IP or its IP header is not within it.
bool Locate(const uint8_t* frame, uint32_t length, Layout* at) {
  if (length < kEthLen) return false;
  uint16_t type = Be16(frame + 12);
  const uint8_t* ip = frame + kEthLen;
  uint32_t room = length - kEthLen;
  at->ip = ip;
  if (type == kTypeIpv4) {
    if (room < 20 || ip[0] >> 4 != 4) return false;
    uint32_t header = (ip[0] & 15) * 4u;
    uint32_t total = Be16(ip + 2);
    if (header < 20 || total < header || total > room) return false;
    at->version = 4;
    at->ip_header = header;
    at->l4 = ip + header;
    at->l4_length = total - header;
    at->protocol = (Be16(ip + 6) & 0x3fff) != 0 ? kOpaque : ip[9];
    if (at->protocol == kTcp || at->protocol == kUdp) {
      at->pseudo = Sum(ip + 12, 8) + Net16(at->protocol) + Net16(at->l4_length);
    }
    return true;
  }
  if (type == kTypeIpv6) {
    if (room < 40 || ip[0] >> 4 != 6) return false;
    uint32_t payload = Be16(ip + 4);
    if (payload > room - 40) return false;
    at->version = 6;
    at->l4 = ip + 40;
    at->l4_length = payload;
    uint8_t next = ip[6];
    at->protocol = next == kTcp || next == kUdp || next == kIcmp6 ? next : kOpaque;
    at->pseudo = Sum(ip + 8, 32) + Net16(next) + Net16(payload);
    return true;
  }
  return false;
}

// Offset of the checksum in the transport header, or -1. `length` becomes what it covers.
int ChecksumOffset(const Layout& at, uint32_t* length) {
  *length = at.l4_length;
  switch (at.protocol) {
    case kTcp:
      return at.l4_length >= 20 ? 16 : -1;
    case kUdp:
      // The UDP length may end before the IP payload does; only an equal one is looked at here, the stack judges others.
      return at.l4_length >= 8 && Be16(at.l4 + 4) == at.l4_length ? 6 : -1;
    case kIcmp:
      return at.version == 4 && at.l4_length >= 4 ? 2 : -1;
    case kIcmp6:
      return at.version == 6 && at.l4_length >= 4 ? 2 : -1;
    default:
      return -1;
  }
}

int32_t VerifyL4(const Layout& at, RxCsum policy) {
  uint32_t covered;
  int offset = ChecksumOffset(at, &covered);
  if (offset < 0) return 0;
  uint16_t field = Load16(at.l4 + offset);
  if (at.protocol == kUdp && field == 0 && at.version == 4) return 0;  // RFC 768: none was computed
  if (policy == RxCsum::kIgnore) return kFlagL4Good;
  if (Fold(Sum(at.l4, covered) + at.pseudo) == 0xffff) return kFlagL4Good;
  // Linux leaves the folded pseudo-header sum, not complemented, for a device that never comes (CHECKSUM_PARTIAL).
  bool partial = at.pseudo != 0 && field == Fold(at.pseudo);
  return partial && policy == RxCsum::kAcceptPartial ? kFlagL4Partial : kFlagL4Bad;
}

RxVerdict Hash(const Layout& at) {
  bool ports = (at.protocol == kTcp || at.protocol == kUdp) && at.l4_length >= 4;
  RxVerdict v;
  int32_t type;
  if (at.version == 4) {
    v.hash = ToeplitzBytes(0, at.ip + 12, 8);
    if (ports) v.hash ^= ToeplitzBytes(8, at.l4, 4);
    type = !ports ? kRssIpv4 : at.protocol == kTcp ? kRssTcp4 : kRssUdp4;
  } else {
    v.hash = ToeplitzBytes(0, at.ip + 8, 32);
    if (ports) v.hash ^= ToeplitzBytes(32, at.l4, 4);
    type = !ports ? kRssIpv6 : at.protocol == kTcp ? kRssTcp6 : kRssUdp6;
  }
  v.flags = type << kHashTypeShift;
  return v;
}

}  // namespace

RxVerdict InspectRx(const uint8_t* frame, uint32_t length, RxCsum policy) {
  Layout at;
  if (!Locate(frame, length, &at)) return RxVerdict();
  RxVerdict v = Hash(at);
  if (at.version == 4) v.flags |= Fold(Sum(at.ip, at.ip_header)) == 0xffff ? kFlagIpGood : kFlagIpBad;
  v.flags |= VerifyL4(at, policy);
  return v;
}

void InsertChecksums(uint8_t* frame, uint32_t length, int32_t flags) {
  Layout at;
  if (!Locate(frame, length, &at)) return;
  if (flags & kFlagTxL4Sum) {
    uint32_t covered;
    int offset = ChecksumOffset(at, &covered);
    if (offset >= 0) {
      uint8_t* field = const_cast<uint8_t*>(at.l4) + offset;
      memset(field, 0, 2);
      uint16_t sum = static_cast<uint16_t>(~Fold(Sum(at.l4, covered) + at.pseudo));
      // RFC 768: a computed zero is sent as all ones.
      if (sum == 0 && at.protocol == kUdp) sum = 0xffff;
      memcpy(field, &sum, 2);
    }
  }
  if ((flags & kFlagTxIpSum) && at.version == 4) {
    uint8_t* field = const_cast<uint8_t*>(at.ip) + 10;
    memset(field, 0, 2);
    uint16_t sum = static_cast<uint16_t>(~Fold(Sum(at.ip, at.ip_header)));
    memcpy(field, &sum, 2);
  }
}

}  // namespace xsiftr
