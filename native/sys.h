// System calls that Node has no name for, added to the addon's exports (src/driver/native-sys.ts lists them).
#pragma once
#include <napi.h>

void InitSys(Napi::Env env, Napi::Object exports);
