/* What the programs share: the fake as their driver, the engine's shortest words, DLPack's structures. */
#ifndef COMMON_H
#define COMMON_H
#include "ace_cuda.h"
#include "check.h"
#include <dlfcn.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)
#define OK ACE_CUDA_STATUS_OK
#define BAD_ARGUMENT ACE_CUDA_STATUS_BAD_ARGUMENT
#define UNKNOWN_HANDLE ACE_CUDA_STATUS_UNKNOWN_HANDLE

/* A call's status, and where it fails its promise, the sentence. */
#define STATUS(wanted, call)                                                        \
    do {                                                                            \
        AceCudaStatus was = (call);                                                 \
        CHECK(was == (wanted) && #call);                                            \
        if (was != (wanted)) printf("  status %d: %s\n", was, ace_cuda_last_error()); \
    } while (0)

static const char *driver;
static uint32_t (*fake_configure)(const char *);
static void (*fake_reset)(void);
static uint64_t (*fake_live)(uint64_t[8]);
static uint64_t (*fake_calls)(const char *);

static inline void begin(int count, char **arguments) {
    if (count != 2) exit(2);
    driver = arguments[1];
    void *fake = dlopen(driver, RTLD_NOW);
    if (!fake) exit(3);
    *(void **)&fake_configure = dlsym(fake, "ace_fake_configure");
    *(void **)&fake_reset = dlsym(fake, "ace_fake_reset");
    *(void **)&fake_live = dlsym(fake, "ace_fake_live");
    *(void **)&fake_calls = dlsym(fake, "ace_fake_calls");
}

/* Nothing that was made in the driver is left. */
static inline int all_given_back(void) {
    uint64_t live[8];
    return fake_live(live) == 0;
}

static inline AceCudaEngine opened(uint64_t budget_bytes) {
    struct AceCudaSettings settings = {.size = sizeof settings, .driver = driver};
    settings.budget_bytes = budget_bytes;
    settings.flags = ACE_CUDA_HOST_POINTERS;
    AceCudaEngine engine = 0;
    STATUS(OK, ace_cuda_open(&settings, &engine));
    return engine;
}

static inline struct AceCudaStateInfo described(const uint64_t *owner, uint64_t bytes) {
    struct AceCudaStateInfo info = {.size = sizeof info, .id = 7, .owners = owner, .owner_count = 1};
    info.bytes = bytes;
    info.contents = ACE_CUDA_CONTENTS_ZERO;
    return info;
}

static inline AceCudaState registered(AceCudaEngine engine, uint64_t owner, uint64_t bytes) {
    struct AceCudaStateInfo info = described(&owner, bytes);
    AceCudaState state = 0;
    STATUS(OK, ace_cuda_register(engine, &info, &state));
    return state;
}

static inline AceCudaLease acquired(AceCudaEngine engine, uint64_t agent, AceCudaState state) {
    AceCudaLease lease = 0;
    STATUS(OK, ace_cuda_acquire(engine, agent, &state, 1, -1, &lease));
    return lease;
}

/* Waits until a state is somewhere, for a minute at least. */
static inline int arrives(AceCudaEngine engine, AceCudaState state, AceCudaPlace wanted) {
    for (int tries = 0; tries < 60000; tries++) {
        AceCudaPlace place;
        if (ace_cuda_place(engine, state, &place) != OK) return 0;
        if (place == wanted) return 1;
        usleep(1000);
    }
    return 0;
}

/* As in DLPack's header. */
typedef struct { int32_t device_type, device_id; } Device;
typedef struct { uint8_t code, bits; uint16_t lanes; } DataType;
typedef struct {
    void *data;
    Device device;
    int32_t ndim;
    DataType dtype;
    int64_t *shape, *strides;
    uint64_t byte_offset;
} Tensor;
struct DLManagedTensor {
    Tensor dl_tensor;
    void *manager_ctx;
    void (*deleter)(struct DLManagedTensor *);
};
struct DLManagedTensorVersioned {
    uint32_t major, minor;
    void *manager_ctx;
    void (*deleter)(struct DLManagedTensorVersioned *);
    uint64_t flags;
    Tensor dl_tensor;
};
#endif
