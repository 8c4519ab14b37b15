// The calls that are made for every batch. Plain Node-API: they cost about 100 ns each, and the C++ wrapper would add to that.
#include "batch.h"

#include <time.h>

#include "clock.h"
#include "queue.h"
#include "registry.h"

namespace xsiftr {
namespace {

constexpr int32_t kMaxNapUs = 10000;

napi_value Throw(napi_env env, bool range, const char* text) {
  if (range) {
    napi_throw_range_error(env, nullptr, text);
  } else {
    napi_throw_type_error(env, nullptr, text);
  }
  return nullptr;
}

napi_value Int(napi_env env, int32_t value) {
  napi_value result;
  napi_create_int32(env, value, &result);
  return result;
}

// The queue of argument 0; throws and returns null when this thread does not own it.
Queue* QueueArgument(napi_env env, napi_value value) {
  int32_t handle = -1;
  napi_get_value_int32(env, value, &handle);
  Queue* queue = Registry::Get().Owned(env, handle);
  if (queue == nullptr) Throw(env, true, "not an open queue of this thread");
  return queue;
}

// The words of an Int32Array; false (and thrown) for anything else.
bool Int32Words(napi_env env, napi_value value, int32_t** words, size_t* length) {
  napi_typedarray_type type;
  void* data;
  if (napi_get_typedarray_info(env, value, &type, length, &data, nullptr, nullptr) == napi_ok && type == napi_int32_array) {
    *words = static_cast<int32_t*>(data);
    return true;
  }
  Throw(env, false, "an Int32Array is expected");
  return false;
}

// Queue, table and row count of `receive` and `transmit`; the count is cut to what fits into the table.
bool TableArguments(napi_env env, napi_callback_info info, Queue** queue, int32_t** table, int32_t* rows) {
  napi_value argv[3];
  size_t argc = 3;
  size_t length;
  if (napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr) != napi_ok) return false;
  *queue = QueueArgument(env, argv[0]);
  if (*queue == nullptr || !Int32Words(env, argv[1], table, &length)) return false;
  *rows = 0;
  napi_get_value_int32(env, argv[2], rows);
  int32_t fit = static_cast<int32_t>(length / kRowWords);
  if (*rows > fit) *rows = fit;
  return true;
}

napi_value Receive(napi_env env, napi_callback_info info) {
  Queue* queue;
  int32_t* table;
  int32_t rows;
  if (!TableArguments(env, info, &queue, &table, &rows)) return nullptr;
  return Int(env, queue->Receive(table, rows));
}

napi_value Transmit(napi_env env, napi_callback_info info) {
  Queue* queue;
  int32_t* table;
  int32_t rows;
  if (!TableArguments(env, info, &queue, &table, &rows)) return nullptr;
  return Int(env, queue->Transmit(table, rows));
}

napi_value Reclaim(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  size_t argc = 2;
  int32_t* out;
  size_t length;
  if (napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr) != napi_ok) return nullptr;
  Queue* queue = QueueArgument(env, argv[0]);
  if (queue == nullptr || !Int32Words(env, argv[1], &out, &length)) return nullptr;
  return Int(env, queue->Reclaim(out, static_cast<int32_t>(length)));
}

napi_value TxRoom(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  size_t argc = 1;
  if (napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr) != napi_ok) return nullptr;
  Queue* queue = QueueArgument(env, argv[0]);
  return queue == nullptr ? nullptr : Int(env, queue->TxRoom());
}

napi_value UseSender(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  size_t argc = 2;
  if (napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr) != napi_ok) return nullptr;
  Queue* queue = QueueArgument(env, argv[0]);
  if (queue == nullptr) return nullptr;
  int32_t rows = -1;
  if (napi_get_value_int32(env, argv[1], &rows) != napi_ok || rows < 0) return Throw(env, true, "rows: 0 or more");
  queue->UseSender(rows);
  return nullptr;
}

napi_value SenderBacklog(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  size_t argc = 1;
  if (napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr) != napi_ok) return nullptr;
  Queue* queue = QueueArgument(env, argv[0]);
  return queue == nullptr ? nullptr : Int(env, static_cast<int32_t>(queue->SenderBacklog()));
}

napi_value Nap(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  size_t argc = 1;
  int32_t us = -1;
  if (napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr) != napi_ok) return nullptr;
  if (napi_get_value_int32(env, argv[0], &us) != napi_ok || us < 0 || us > kMaxNapUs) {
    return Throw(env, true, "us: from 0 to 10000");
  }
  timespec time = {0, us * 1000};
  nanosleep(&time, nullptr);
  return nullptr;
}

napi_value ReadClock(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  size_t argc = 1;
  napi_typedarray_type type;
  size_t length;
  void* data;
  if (napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr) != napi_ok) return nullptr;
  if (napi_get_typedarray_info(env, argv[0], &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != napi_float64_array || length < kClockWords) {
    return Throw(env, false, "a Float64Array of CLOCK_WORDS words is expected");
  }
  WriteClock(static_cast<double*>(data));
  return nullptr;
}

}  // namespace

void InitBatch(Napi::Env env, Napi::Object exports) {
  const napi_property_descriptor functions[] = {
      {"receive", nullptr, Receive, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"transmit", nullptr, Transmit, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"reclaim", nullptr, Reclaim, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"useSender", nullptr, UseSender, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"senderBacklog", nullptr, SenderBacklog, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"nap", nullptr, Nap, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"txRoom", nullptr, TxRoom, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"readClock", nullptr, ReadClock, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
  };
  napi_define_properties(env, exports, sizeof(functions) / sizeof(functions[0]), functions);
}

}  // namespace xsiftr
