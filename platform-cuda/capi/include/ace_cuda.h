// libace_cuda.so: GPU memory of agents, moved by the distance to their next invocation.
//
// Made from platform-cuda/capi/src by platform-cuda/capi/tests/header.rs. Do not edit.
//
// An engine keeps the states of many agents: on a device those that are used next, on the host the
// others. A use begins with ace_cuda_acquire and ends with ace_cuda_end or ace_cuda_end_after; in between
// the addresses of its states are good. Engines, states, leases and heaps are numbers that are never used
// twice: a stale one is an UNKNOWN_HANDLE. Status codes are named without ACE_CUDA_STATUS_ here and below.
// After a fork, the child makes no calls.

#ifndef ACE_CUDA_H
#define ACE_CUDA_H

#include <stddef.h>
#include <stdint.h>

// Of DLPack's own header, dlpack.h.
struct DLManagedTensor;
struct DLManagedTensorVersioned;

// Addresses of the device are pointers of the host, too. Only a fake of the driver can be opened so: tensors
// then say that they are the CPU's. It is believed, not checked.
#define ACE_CUDA_HOST_POINTERS 1

// Anything else.
#define ACE_CUDA_KIND_OPAQUE 0

// A model's own weights.
#define ACE_CUDA_KIND_WEIGHTS 1

// A low-rank adapter.
#define ACE_CUDA_KIND_LORA 2

// Keys and values of attention.
#define ACE_CUDA_KIND_KV 3

// A kind of yours: this and all greater numbers.
#define ACE_CUDA_KIND_CUSTOM 1024

// There are no contents yet: the first user computes them. `host` is NULL.
#define ACE_CUDA_CONTENTS_NONE 0

// Zeros, in memory of the engine's. `host` is NULL.
#define ACE_CUDA_CONTENTS_ZERO 1

// The `bytes` at `host`, copied into memory of the engine's before the call returns.
#define ACE_CUDA_CONTENTS_COPIED 2

// The `bytes` at `host`, which the engine reads and writes where they are until the state is
// unregistered or the engine closed. Not pinned: copies go through buffers that are.
#define ACE_CUDA_CONTENTS_BORROWED 3

// What the program says about one agent.
#define ACE_CUDA_SOURCE_HINT 0

// A scheduler's plan.
#define ACE_CUDA_SOURCE_PLAN 1

// Hops in a graph of agents.
#define ACE_CUDA_SOURCE_GRAPH 2

// Distance divided by velocity.
#define ACE_CUDA_SOURCE_SPACE 3

// What became of a call. Anything but OK: nothing was changed, unless the call says otherwise, and
// ace_cuda_last_error() has a sentence about it.
enum AceCudaStatus
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // Done.
    ACE_CUDA_STATUS_OK = 0,
    // A null or misaligned pointer, a number out of range, a distance that is negative or NaN, a name that
    // nobody knows.
    ACE_CUDA_STATUS_BAD_ARGUMENT = 1,
    // There is no engine, state, lease or heap of this number, or no block at this address: it was never
    // made, was given back before, or belongs to another engine.
    ACE_CUDA_STATUS_UNKNOWN_HANDLE = 2,
    // No state belongs to the agent, or not this one.
    ACE_CUDA_STATUS_UNKNOWN_AGENT = 3,
    // There is no driver, or none that will do.
    ACE_CUDA_STATUS_NO_DRIVER = 4,
    // There is no such device, or it can't map memory under reserved addresses.
    ACE_CUDA_STATUS_NO_DEVICE = 5,
    // It can never fit into the device's memory or into the budget.
    ACE_CUDA_STATUS_TOO_LARGE = 6,
    // Device memory is claimed by leases, pins and retained states; it would fit when some of them end.
    ACE_CUDA_STATUS_NO_ROOM = 7,
    // The device has no memory left, also after others were evicted.
    ACE_CUDA_STATUS_OUT_OF_MEMORY = 8,
    // The host has no memory for it.
    ACE_CUDA_STATUS_OUT_OF_HOST_MEMORY = 9,
    // The device failed. Surviving copies of states are as they were.
    ACE_CUDA_STATUS_DEVICE_FAILED = 10,
    // The device is lost with all that was there. Host copies can be read; close the engine and open
    // another, possibly in another process.
    ACE_CUDA_STATUS_DEVICE_LOST = 11,
    // The newest contents of the state were lost with the device.
    ACE_CUDA_STATUS_POISONED = 12,
    // It is in use: leases, tensors, blocks or other calls still need it.
    ACE_CUDA_STATUS_IN_USE = 13,
    // The state is not part of the lease.
    ACE_CUDA_STATUS_NOT_IN_USE = 14,
    // The state is not pinned.
    ACE_CUDA_STATUS_NOT_PINNED = 15,
    // Steps only grow, and predictions are of this step or later.
    ACE_CUDA_STATUS_PAST = 16,
    // The host does not hold the newest contents, or they are on the move.
    ACE_CUDA_STATUS_ON_DEVICE = 17,
    // The state was unregistered, or taken from the agent, while somebody waited for it.
    ACE_CUDA_STATUS_UNREGISTERED = 18,
    // The time was over before the use could begin.
    ACE_CUDA_STATUS_TIMED_OUT = 19,
    // The engine's thread could not be started, or has died.
    ACE_CUDA_STATUS_ENGINE_FAILED = 20,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum AceCudaStatus AceCudaStatus;
#else
typedef int32_t AceCudaStatus;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Where a state is.
enum AceCudaPlace
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // It has no contents anywhere.
    ACE_CUDA_PLACE_ABSENT = 0,
    // Its contents are on the way to the device.
    ACE_CUDA_PLACE_LOADING = 1,
    // On the device.
    ACE_CUDA_PLACE_RESIDENT = 2,
    // On the device, in use.
    ACE_CUDA_PLACE_IN_USE = 3,
    // It is leaving the device.
    ACE_CUDA_PLACE_EVICTING = 4,
    // On the host.
    ACE_CUDA_PLACE_HOST_ONLY = 5,
    // The newest contents were lost with the device. What the host has can be read.
    ACE_CUDA_PLACE_POISONED = 6,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum AceCudaPlace AceCudaPlace;
#else
typedef int32_t AceCudaPlace;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How an engine is opened. Set `size` and leave all else zero for the defaults.
struct AceCudaSettings {
    // sizeof(struct AceCudaSettings).
    size_t size;
    // The driver's library: a path, or a name that the loader looks for. NULL: what the environment
    // variable ACE_CUDA_LIBRARY says, or else libcuda.so.1.
    const char *driver;
    // Which states go first: "ace", "hedge", "distance", "cost", "guard", "own gap", "lru", "random" or
    // "swap". NULL: the one that is best for most, now "ace".
    const char *policy;
    // Device memory for states. 0: three quarters of what is free now.
    uint64_t budget_bytes;
    // Host memory that may be pinned. 0: 256 MiB.
    uint64_t pinned_bytes;
    // Copies are cut into chunks of so many bytes. 0: 16 MiB.
    uint64_t chunk_bytes;
    // The device, from 0, as the driver numbers them.
    uint32_t device;
    // ACE_CUDA_HOST_POINTERS, or 0.
    uint32_t flags;
};

// An engine, by its number. 0 is none.
typedef uint64_t AceCudaEngine;

// What an agent keeps on a device: one range of bytes. Set `size`; what is left zero has the default.
struct AceCudaStateInfo {
    // sizeof(struct AceCudaStateInfo).
    size_t size;
    // A number of yours, for reports.
    uint64_t id;
    // The agents that use it, by numbers of yours.
    const uint64_t *owners;
    // How many.
    size_t owner_count;
    // Its size, above 0.
    uint64_t bytes;
    // The host's memory that `contents` speaks of.
    void *host;
    // What it costs to copy it to the device, in nanoseconds. 0: by the measured speed.
    uint64_t reload_ns;
    // What it costs to compute it anew, in nanoseconds. 0: it can't be done. If that is less than what
    // copying costs, contents may be given up instead of written back; ace_cuda_is_fresh tells the next user.
    uint64_t recompute_ns;
    // One of ACE_CUDA_KIND_.
    uint32_t kind;
    // One of ACE_CUDA_CONTENTS_.
    uint32_t contents;
};

// A state of an engine, by its number. 0 is none.
typedef uint64_t AceCudaState;

// States in use, by the number of the use. 0 is none.
typedef uint64_t AceCudaLease;

// A heap of device memory, by its number. 0 is none.
typedef uint64_t AceCudaHeap;

// What a heap holds. Set `size` before the call.
struct AceCudaHeapStats {
    // sizeof(struct AceCudaHeapStats).
    size_t size;
    // Blocks in use.
    uint64_t blocks;
    // Bytes of them.
    uint64_t live_bytes;
    // Most that ever were in use.
    uint64_t peak_live_bytes;
    // Bytes of the device's memory that the heap holds.
    uint64_t mapped_bytes;
    // Most that it ever held.
    uint64_t peak_mapped_bytes;
    // Most that it may hold.
    uint64_t limit_bytes;
    // Bytes of addresses set aside.
    uint64_t reserved_bytes;
};

// What an engine did so far, and how it is. Set `size` before the call.
struct AceCudaStats {
    // sizeof(struct AceCudaStats).
    size_t size;
    // Uses of a state that began at once.
    uint64_t hits;
    // Uses of a state that had to wait.
    uint64_t misses;
    // Copied to the device because somebody waited. States count in whole grains of device memory.
    uint64_t demand_bytes;
    // Copied to the device ahead of use.
    uint64_t prefetch_bytes;
    // Of those, evicted before they were used.
    uint64_t wasted_bytes;
    // Copied from the device.
    uint64_t written_bytes;
    // States evicted.
    uint64_t evictions;
    // Registered states, and those that are leaving.
    uint64_t states;
    // Calls of ace_cuda_acquire that wait.
    uint64_t waiting;
    // Uses that are granted and not over.
    uint64_t leases;
    // The budget, or less if the device had less.
    uint64_t limit_bytes;
    // What uses, pins and retained states claim of it.
    uint64_t claimed_bytes;
    // Device memory behind states.
    uint64_t mapped_bytes;
    // Device memory kept for reuse.
    uint64_t pooled_bytes;
    // Device memory that could not be unmapped.
    uint64_t stranded_bytes;
    // Pinned host memory.
    uint64_t pinned_bytes;
    // How often the device did not pin what it was asked for.
    uint64_t pin_refusals;
    // Bytes that arrived on the device.
    uint64_t inward_bytes;
    // Bytes that arrived on the host.
    uint64_t outward_bytes;
    // The measured speed to the device; 0: not known.
    uint64_t inward_bytes_per_second;
    // The measured speed from the device; 0: not known.
    uint64_t outward_bytes_per_second;
    // Copies between the device and a pinned host copy.
    uint64_t direct_copies;
    // Copies through a pinned buffer.
    uint64_t staged_copies;
    // Copies from or to memory that is not pinned, because nothing could be pinned.
    uint64_t pageable_copies;
    // Copies, maps and unmaps that failed.
    uint64_t failures;
    // 1 if the device is lost.
    uint64_t is_lost;
};

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// A sentence about the last call of this thread that was not OK; empty before the first. It stays as it is
// until the next such call of this thread.
const char *ace_cuda_last_error(void);

// The version of this library: 10000 * major + 100 * minor + patch.
uint32_t ace_cuda_version(void);

// Opens a device and starts an engine on it. It works in the device's primary context, as CUDA's runtime
// and PyTorch do; the calling thread's current context stays as it is. All functions that take an engine
// may be called from any thread.
//
// Gives the engine's number to `engine`.
//
// Safety:
// `settings` is NULL, for the defaults, or holds `size` bytes; its strings are C strings, and `driver` names
// a driver of CUDA or no library at all. `engine` may be written to.
AceCudaStatus ace_cuda_open(const struct AceCudaSettings *settings,
                            AceCudaEngine *engine);

// Stops an engine: waits until copies under way have ended, gives all device memory back and leaves the
// memory of states alone. Its states are forgotten.
//
// IN_USE while leases or tensors are held or other calls are under way: the engine goes on then.
AceCudaStatus ace_cuda_close(AceCudaEngine engine);

// Takes a state into an engine's care. Gives its number to `state`.
//
// Safety:
// `info` holds `size` bytes, `owners` holds `owner_count` numbers, and `host` the bytes that `contents`
// speaks of. If they are borrowed, they stay until ace_cuda_unregister or ace_cuda_close has returned OK;
// meanwhile they are not written to, and read only while the state is HOST_ONLY. `state` may be written to.
AceCudaStatus ace_cuda_register(AceCudaEngine engine,
                                const struct AceCudaStateInfo *info,
                                AceCudaState *state);

// Forgets a state, and waits until nothing of the engine's touches its memory any more. IN_USE while a
// lease or a tensor of it is held.
AceCudaStatus ace_cuda_unregister(AceCudaEngine engine,
                                  AceCudaState state);

// One more agent uses a state.
AceCudaStatus ace_cuda_share(AceCudaEngine engine, AceCudaState state, uint64_t agent);

// An agent uses a state no more. Calls of it that wait for the state are refused.
AceCudaStatus ace_cuda_unshare(AceCudaEngine engine, AceCudaState state, uint64_t agent);

// Where a state is now.
//
// Safety:
// `place` may be written to.
AceCudaStatus ace_cuda_place(AceCudaEngine engine, AceCudaState state, AceCudaPlace *place);

// Writes to the host copy of a state. ON_DEVICE unless it is HOST_ONLY.
//
// Safety:
// `from` holds so many bytes.
AceCudaStatus ace_cuda_write_host(AceCudaEngine engine,
                                  AceCudaState state,
                                  uint64_t offset_bytes,
                                  const void *from,
                                  size_t bytes);

// Reads the host copy of a state. ON_DEVICE if the host does not hold the newest contents: acquire the state
// and call ace_cuda_copy_out instead.
//
// Safety:
// So many bytes at `into` may be written to.
AceCudaStatus ace_cuda_read_host(AceCudaEngine engine,
                                 AceCudaState state,
                                 uint64_t offset_bytes,
                                 void *into,
                                 size_t bytes);

// A step begins. Steps only grow: PAST otherwise.
AceCudaStatus ace_cuda_step(AceCudaEngine engine, uint64_t step);

// A source, one of ACE_CUDA_SOURCE_, predicts when an agent is used next: so many steps after the beginning
// of the present one. INFINITY takes a prediction back; what is negative or NaN is a BAD_ARGUMENT. How
// often each source was right is measured, and decides how far it is believed.
AceCudaStatus ace_cuda_expect(AceCudaEngine engine,
                              uint64_t agent,
                              uint32_t source,
                              double distance_steps);

// As ace_cuda_expect, for `count` agents at once. Numbers are checked before anything is taken; if an agent
// is unknown, those before it were taken.
//
// Safety:
// `agents` and `distances_steps` hold `count` numbers each.
AceCudaStatus ace_cuda_expect_many(AceCudaEngine engine,
                                   uint32_t source,
                                   const uint64_t *agents,
                                   const double *distances_steps,
                                   size_t count);

// Keeps a state on the device, from when it is there, until as many calls of ace_cuda_unpin. NO_ROOM if
// what is claimed already does not leave so much of the budget.
AceCudaStatus ace_cuda_pin(AceCudaEngine engine,
                           AceCudaState state);

// Takes one pin back.
AceCudaStatus ace_cuda_unpin(AceCudaEngine engine, AceCudaState state);

// Keeps a state on the device, from when it is there, until a step begins; a past one takes it back.
AceCudaStatus ace_cuda_retain(AceCudaEngine engine,
                              AceCudaState state,
                              uint64_t until_step);

// Fetch a state when nobody waits for anything else.
AceCudaStatus ace_cuda_prefetch(AceCudaEngine engine, AceCudaState state);

// Stop fetching a state, unless somebody waits for it.
AceCudaStatus ace_cuda_cancel(AceCudaEngine engine, AceCudaState state);

// Evict a state before all others when memory is needed, unless it is used before.
AceCudaStatus ace_cuda_demote(AceCudaEngine engine, AceCudaState state);

// Another budget of device memory.
AceCudaStatus ace_cuda_set_budget(AceCudaEngine engine, uint64_t bytes);

// Waits until an agent can use all of some states together, and brings those to the device that are not
// there. All of them are granted or none. They stay at their addresses until the lease ends.
//
// `timeout_ms`: how long to wait; 0: not at all, and then nothing is set in motion either; negative: for
// ever. TIMED_OUT when that is over. No two callers wait for each other, as long as none holds a lease
// while it waits for another.
//
// Gives the number of the use to `lease`.
//
// Safety:
// `states` holds `count` numbers. `lease` may be written to.
AceCudaStatus ace_cuda_acquire(AceCudaEngine engine,
                               uint64_t agent,
                               const AceCudaState *states,
                               size_t count,
                               int64_t timeout_ms,
                               AceCudaLease *lease);

// Where a state of a lease is: a CUdeviceptr. The same whenever the state is in use.
//
// Safety:
// `address` may be written to.
AceCudaStatus ace_cuda_address(AceCudaLease lease, AceCudaState state, uint64_t *address);

// Whether a state of a lease has no contents (1), so that the user computes them and says so with
// ace_cuda_wrote, or has (0).
//
// Safety:
// `is_fresh` may be written to.
AceCudaStatus ace_cuda_is_fresh(AceCudaLease lease, AceCudaState state, uint32_t *is_fresh);

// The user writes to a part of a state of a lease: it will be copied to the host before the state leaves
// the device. Say so before the lease ends.
AceCudaStatus ace_cuda_wrote(AceCudaLease lease,
                             AceCudaState state,
                             uint64_t offset_bytes,
                             uint64_t bytes);

// Copies from the host to a part of a state of a lease, and returns when that is done. What ace_cuda_wrote
// says is said by this, too. For those who have no other means of copying: it is done on a stream of its own,
// through the driver's buffers.
//
// Safety:
// `from` holds so many bytes. No work on the device touches that part meanwhile.
AceCudaStatus ace_cuda_copy_in(AceCudaLease lease,
                               AceCudaState state,
                               uint64_t offset_bytes,
                               const void *from,
                               size_t bytes);

// Copies a part of a state of a lease to the host, and returns when that is done. As ace_cuda_copy_in, for
// those who have no other means.
//
// Safety:
// So many bytes at `into` may be written to. No work on the device writes to that part meanwhile.
AceCudaStatus ace_cuda_copy_out(AceCudaLease lease,
                                AceCudaState state,
                                uint64_t offset_bytes,
                                void *into,
                                size_t bytes);

// Ends a use. All work on the device that touches its states is done. If tensors of it live, the use ends
// with the last of them, and the same holds for the work on those.
AceCudaStatus ace_cuda_end(AceCudaLease lease);

// Ends a use when all work is done that is queued on a CUstream now; NULL is the legacy default stream, and
// CU_STREAM_PER_THREAD is a BAD_ARGUMENT, because it is another stream on another thread. If tensors of it
// live, the use ends with the last of them, when all work is done that is queued on the stream by then.
//
// If the device fails to note it, the lease stays: wait for the work and call ace_cuda_end.
//
// Safety:
// The stream is there until this returns, until the last tensor is gone, and until every other call on this
// lease that is under way on another thread has returned. It belongs to the device's primary context. All
// work that touches the states is done, is queued on it, or is waited for on it.
AceCudaStatus ace_cuda_end_after(AceCudaLease lease,
                                 void *stream);

// A part of a state of a lease as a DLPack tensor, row-major, without a copy: of the device, or of the CPU
// if the engine was opened with ACE_CUDA_HOST_POINTERS. `code` and `bits` are those of DLDataType, lanes are
// 1. The tensor begins `offset_bytes` into the state, a multiple of an element's size.
//
// The state stays in use until the consumer has called the tensor's `deleter`, also when the lease was
// ended before. Who writes through a tensor calls ace_cuda_wrote while the lease has not ended.
//
// Safety:
// `shape` holds `ndim` numbers. `tensor` may be written to.
AceCudaStatus ace_cuda_dlpack(AceCudaLease lease,
                              AceCudaState state,
                              uint64_t offset_bytes,
                              uint8_t code,
                              uint8_t bits,
                              const int64_t *shape,
                              int32_t ndim,
                              struct DLManagedTensor **tensor);

// As ace_cuda_dlpack, in the wrapping of DLPack 1.0 and later.
//
// Safety:
// As ace_cuda_dlpack.
AceCudaStatus ace_cuda_dlpack_versioned(AceCudaLease lease,
                                        AceCudaState state,
                                        uint64_t offset_bytes,
                                        uint8_t code,
                                        uint8_t bits,
                                        const int64_t *shape,
                                        int32_t ndim,
                                        struct DLManagedTensorVersioned **tensor);

// A PyCapsule_Destructor for capsules named "dltensor" or "dltensor_versioned": calls the tensor's deleter if
// nobody took it.
//
// Safety:
// `capsule` is a capsule of CPython's, and if it has one of these names, holds such a tensor of this library.
void ace_cuda_capsule_gone(void *capsule);

// Opens a heap of small blocks in a device's memory, beside engines: it holds at most `limit_bytes`.
// Functions that take a heap may be called from any thread; they may make the device's primary context the
// calling thread's current one.
//
// Gives the heap's number to `heap`.
//
// Safety:
// `driver` is as in AceCudaSettings. `heap` may be written to.
AceCudaStatus ace_cuda_heap_open(const char *driver,
                                 uint32_t device,
                                 uint64_t limit_bytes,
                                 AceCudaHeap *heap);

// Closes a heap and gives its memory back. IN_USE while it has blocks in use: it goes on then.
AceCudaStatus ace_cuda_heap_close(AceCudaHeap heap);

// A block of at least `bytes` bytes, aligned to `align`, a power of two; 0: to 256, as CUDA does it. What is
// in it is arbitrary. Gives its address, a CUdeviceptr, to `address`.
//
// Safety:
// `address` may be written to.
AceCudaStatus ace_cuda_heap_alloc(AceCudaHeap heap,
                                  uint64_t bytes,
                                  uint64_t align,
                                  uint64_t *address);

// Gives a block back. UNKNOWN_HANDLE if no block in use starts there: freed twice, or another heap's.
//
// Safety:
// All work of the device that uses the block has ended.
AceCudaStatus ace_cuda_heap_free(AceCudaHeap heap,
                                 uint64_t address);

// Bytes of a block: those that were asked for, or a few more.
//
// Safety:
// `bytes` may be written to.
AceCudaStatus ace_cuda_heap_size(AceCudaHeap heap, uint64_t address, uint64_t *bytes);

// Gives free memory back to the device, all but `keep_bytes`.
AceCudaStatus ace_cuda_heap_trim(AceCudaHeap heap, uint64_t keep_bytes);

// Tells what a heap holds. Fields that this version does not know are set to 0.
//
// Safety:
// `stats` holds as many bytes as its field `size` says, and may be written to.
AceCudaStatus ace_cuda_heap_stats(AceCudaHeap heap, struct AceCudaHeapStats *stats);

// Tells what an engine did. Fields that this version does not know are set to 0.
//
// Safety:
// `stats` holds as many bytes as its field `size` says, and may be written to.
AceCudaStatus ace_cuda_stats(AceCudaEngine engine, struct AceCudaStats *stats);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* ACE_CUDA_H */
