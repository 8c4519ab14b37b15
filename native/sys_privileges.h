// Giving up rights in every thread of a process; no N-API in here.
#pragma once
#include <sys/types.h>

#include <string>
#include <vector>

// Takes all capabilities from all threads for ever (bounding set and securebits where CAP_SETPCAP allows, no_new_privs always); with uid >= 0
// becomes that user with `gid` and `groups` as well. Returns the number of threads, or -1 with `error` set to a line that says what failed.
// Threads that another one creates meanwhile are caught too. Call it from one thread at a time.
int drop_privileges(long uid, long gid, const std::vector<gid_t> &groups, std::string &error);
