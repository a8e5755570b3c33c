/* What a caller can get wrong is a status and a sentence, and changes nothing. */
#include "common.h"

static int says(const char *words) { return strstr(ace_cuda_last_error(), words) != NULL; }

static void test_open(void) {
    AceCudaEngine engine = 0;
    struct AceCudaSettings good = {.size = sizeof good, .driver = driver, .budget_bytes = 8 * MIB};
    struct AceCudaSettings bad = good;
    STATUS(BAD_ARGUMENT, ace_cuda_open(&good, NULL));
    CHECK(says("engine is null"));
    STATUS(BAD_ARGUMENT, ace_cuda_open(&good, (AceCudaEngine *)((char *)&engine + 1)));
    bad.driver = "libcuda-of-nobody.so";
    STATUS(ACE_CUDA_STATUS_NO_DRIVER, ace_cuda_open(&bad, &engine));
    CHECK(says("install NVIDIA's driver"));
    bad.driver = "libm.so.6";
    STATUS(ACE_CUDA_STATUS_NO_DRIVER, ace_cuda_open(&bad, &engine));
    bad = good;
    bad.device = 7;
    STATUS(ACE_CUDA_STATUS_NO_DEVICE, ace_cuda_open(&bad, &engine));
    bad = good;
    bad.policy = "clairvoyance";
    STATUS(BAD_ARGUMENT, ace_cuda_open(&bad, &engine));
    CHECK(says("clairvoyance") && says("ace, hedge, distance, cost, guard, own gap, lru, random, swap"));
    bad = good;
    bad.flags = 2;
    STATUS(BAD_ARGUMENT, ace_cuda_open(&bad, &engine));
    for (size_t size = 0; size < sizeof(size_t); size++) {
        bad = good;
        bad.size = size;
        STATUS(BAD_ARGUMENT, ace_cuda_open(&bad, &engine));
    }
    bad.size = SIZE_MAX;
    STATUS(BAD_ARGUMENT, ace_cuda_open(&bad, &engine));
    CHECK(engine == 0);
    CHECK(all_given_back());
}

/* A program may be older or newer than the library. */
static void test_versions(void) {
    struct { struct AceCudaSettings known; uint64_t later; } newer = {.known = {.driver = driver}};
    AceCudaEngine engine = 0;
    newer.known.size = sizeof newer;
    STATUS(OK, ace_cuda_open(&newer.known, &engine));
    struct { struct AceCudaStats known; uint64_t later; } stats = {.later = 5};
    stats.known.size = sizeof stats;
    STATUS(OK, ace_cuda_stats(engine, &stats.known));
    CHECK(stats.later == 0 && stats.known.size == sizeof stats);
    /* Three quarters of the fake's 1 GiB. */
    CHECK(stats.known.limit_bytes == 768 * MIB);
    struct AceCudaStats older = {.size = 2 * sizeof(size_t), .misses = 99};
    STATUS(OK, ace_cuda_stats(engine, &older));
    CHECK(older.misses == 99);
    STATUS(OK, ace_cuda_close(engine));
    newer.later = 1;
    STATUS(BAD_ARGUMENT, ace_cuda_open(&newer.known, &engine));
    struct AceCudaSettings older_settings = {.size = offsetof(struct AceCudaSettings, policy)};
    older_settings.driver = driver;
    older_settings.policy = "nobody reads this";
    STATUS(OK, ace_cuda_open(&older_settings, &engine));
    STATUS(OK, ace_cuda_close(engine));
}

static void test_stale_numbers(AceCudaEngine engine, AceCudaState state, AceCudaLease lease) {
    uint64_t number, agent = 1;
    uint32_t flag;
    double near = 1;
    int64_t shape = 1;
    char byte;
    AceCudaPlace place;
    struct AceCudaStateInfo info = described(&agent, MIB);
    struct AceCudaStats stats = {.size = sizeof stats};
    struct AceCudaHeapStats heap_stats = {.size = sizeof heap_stats};
    struct DLManagedTensor *tensor;
    struct DLManagedTensorVersioned *versioned;
    STATUS(UNKNOWN_HANDLE, ace_cuda_register(engine, &info, &number));
    STATUS(UNKNOWN_HANDLE, ace_cuda_unregister(engine, state));
    STATUS(UNKNOWN_HANDLE, ace_cuda_share(engine, state, 1));
    STATUS(UNKNOWN_HANDLE, ace_cuda_unshare(engine, state, 1));
    STATUS(UNKNOWN_HANDLE, ace_cuda_place(engine, state, &place));
    STATUS(UNKNOWN_HANDLE, ace_cuda_write_host(engine, state, 0, &byte, 1));
    STATUS(UNKNOWN_HANDLE, ace_cuda_read_host(engine, state, 0, &byte, 1));
    STATUS(UNKNOWN_HANDLE, ace_cuda_step(engine, 1));
    STATUS(UNKNOWN_HANDLE, ace_cuda_expect(engine, 1, ACE_CUDA_SOURCE_PLAN, 1));
    STATUS(UNKNOWN_HANDLE, ace_cuda_expect_many(engine, ACE_CUDA_SOURCE_PLAN, &agent, &near, 1));
    STATUS(UNKNOWN_HANDLE, ace_cuda_pin(engine, state));
    STATUS(UNKNOWN_HANDLE, ace_cuda_unpin(engine, state));
    STATUS(UNKNOWN_HANDLE, ace_cuda_retain(engine, state, 9));
    STATUS(UNKNOWN_HANDLE, ace_cuda_prefetch(engine, state));
    STATUS(UNKNOWN_HANDLE, ace_cuda_cancel(engine, state));
    STATUS(UNKNOWN_HANDLE, ace_cuda_demote(engine, state));
    STATUS(UNKNOWN_HANDLE, ace_cuda_set_budget(engine, MIB));
    STATUS(UNKNOWN_HANDLE, ace_cuda_acquire(engine, 1, &state, 1, -1, &number));
    STATUS(UNKNOWN_HANDLE, ace_cuda_stats(engine, &stats));
    STATUS(UNKNOWN_HANDLE, ace_cuda_close(engine));
    STATUS(UNKNOWN_HANDLE, ace_cuda_address(lease, state, &number));
    STATUS(UNKNOWN_HANDLE, ace_cuda_is_fresh(lease, state, &flag));
    STATUS(UNKNOWN_HANDLE, ace_cuda_wrote(lease, state, 0, 1));
    STATUS(UNKNOWN_HANDLE, ace_cuda_copy_in(lease, state, 0, &byte, 1));
    STATUS(UNKNOWN_HANDLE, ace_cuda_copy_out(lease, state, 0, &byte, 1));
    STATUS(UNKNOWN_HANDLE, ace_cuda_dlpack(lease, state, 0, 2, 32, &shape, 1, &tensor));
    STATUS(UNKNOWN_HANDLE, ace_cuda_dlpack_versioned(lease, state, 0, 2, 32, &shape, 1, &versioned));
    STATUS(UNKNOWN_HANDLE, ace_cuda_end_after(lease, NULL));
    STATUS(UNKNOWN_HANDLE, ace_cuda_end(lease));
    STATUS(UNKNOWN_HANDLE, ace_cuda_heap_alloc(engine, 1, 0, &number));
    STATUS(UNKNOWN_HANDLE, ace_cuda_heap_free(engine, 1));
    STATUS(UNKNOWN_HANDLE, ace_cuda_heap_size(engine, 1, &number));
    STATUS(UNKNOWN_HANDLE, ace_cuda_heap_trim(engine, 0));
    STATUS(UNKNOWN_HANDLE, ace_cuda_heap_stats(engine, &heap_stats));
    STATUS(UNKNOWN_HANDLE, ace_cuda_heap_close(engine));
}

static void test_register(AceCudaEngine engine) {
    uint64_t owner = 1;
    static char host[64];
    AceCudaState state = 0;
    struct AceCudaStateInfo good = described(&owner, 64), bad;
    STATUS(BAD_ARGUMENT, ace_cuda_register(engine, NULL, &state));
    STATUS(BAD_ARGUMENT, ace_cuda_register(engine, &good, NULL));
    bad = good, bad.owners = NULL;
    STATUS(BAD_ARGUMENT, ace_cuda_register(engine, &bad, &state));
    bad = good, bad.owner_count = SIZE_MAX / 2;
    STATUS(BAD_ARGUMENT, ace_cuda_register(engine, &bad, &state));
    bad = good, bad.bytes = 0;
    STATUS(BAD_ARGUMENT, ace_cuda_register(engine, &bad, &state));
    bad = good, bad.bytes = UINT64_MAX;
    STATUS(BAD_ARGUMENT, ace_cuda_register(engine, &bad, &state));
    bad = good, bad.kind = 4;
    STATUS(BAD_ARGUMENT, ace_cuda_register(engine, &bad, &state));
    bad = good, bad.contents = 4;
    STATUS(BAD_ARGUMENT, ace_cuda_register(engine, &bad, &state));
    bad = good, bad.host = host;
    STATUS(BAD_ARGUMENT, ace_cuda_register(engine, &bad, &state));
    bad = good, bad.contents = ACE_CUDA_CONTENTS_BORROWED;
    STATUS(BAD_ARGUMENT, ace_cuda_register(engine, &bad, &state));
    bad = good, bad.contents = ACE_CUDA_CONTENTS_COPIED;
    STATUS(BAD_ARGUMENT, ace_cuda_register(engine, &bad, &state));
    bad = good, bad.bytes = 2048 * MIB;
    STATUS(ACE_CUDA_STATUS_TOO_LARGE, ace_cuda_register(engine, &bad, &state));
    CHECK(state == 0);
}

static void test_hints(AceCudaEngine engine, AceCudaState state) {
    uint64_t agents[] = {1, 99};
    double distances[] = {1, 2}, nan_second[] = {1, NAN};
    STATUS(BAD_ARGUMENT, ace_cuda_expect(engine, 1, ACE_CUDA_SOURCE_PLAN, NAN));
    STATUS(BAD_ARGUMENT, ace_cuda_expect(engine, 1, ACE_CUDA_SOURCE_PLAN, -1));
    STATUS(BAD_ARGUMENT, ace_cuda_expect(engine, 1, ACE_CUDA_SOURCE_PLAN, -INFINITY));
    STATUS(BAD_ARGUMENT, ace_cuda_expect(engine, 1, 4, 1));
    STATUS(OK, ace_cuda_expect(engine, 1, ACE_CUDA_SOURCE_PLAN, INFINITY));
    STATUS(OK, ace_cuda_expect(engine, 1, ACE_CUDA_SOURCE_HINT, 0));
    STATUS(ACE_CUDA_STATUS_UNKNOWN_AGENT, ace_cuda_expect(engine, 99, ACE_CUDA_SOURCE_HINT, 0));
    STATUS(OK, ace_cuda_expect_many(engine, ACE_CUDA_SOURCE_PLAN, agents, distances, 1));
    STATUS(OK, ace_cuda_expect_many(engine, ACE_CUDA_SOURCE_PLAN, NULL, NULL, 0));
    STATUS(BAD_ARGUMENT, ace_cuda_expect_many(engine, ACE_CUDA_SOURCE_PLAN, NULL, distances, 1));
    STATUS(BAD_ARGUMENT, ace_cuda_expect_many(engine, ACE_CUDA_SOURCE_PLAN, agents, NULL, 1));
    STATUS(BAD_ARGUMENT, ace_cuda_expect_many(engine, ACE_CUDA_SOURCE_PLAN, agents, nan_second, 2));
    STATUS(ACE_CUDA_STATUS_UNKNOWN_AGENT,
           ace_cuda_expect_many(engine, ACE_CUDA_SOURCE_PLAN, agents, distances, 2));
    STATUS(OK, ace_cuda_step(engine, 5));
    STATUS(ACE_CUDA_STATUS_PAST, ace_cuda_step(engine, 4));
    STATUS(ACE_CUDA_STATUS_NOT_PINNED, ace_cuda_unpin(engine, state));
    STATUS(ACE_CUDA_STATUS_UNKNOWN_AGENT, ace_cuda_unshare(engine, state, 99));
    STATUS(OK, ace_cuda_share(engine, state, 2));
    STATUS(OK, ace_cuda_expect(engine, 2, ACE_CUDA_SOURCE_SPACE, 2.5));
    STATUS(OK, ace_cuda_unshare(engine, state, 2));
    STATUS(BAD_ARGUMENT, ace_cuda_set_budget(engine, 0));
}

static void test_lease(AceCudaEngine engine, AceCudaState state) {
    AceCudaState both[] = {state, state};
    AceCudaLease lease = 0;
    uint64_t address;
    uint32_t fresh;
    STATUS(BAD_ARGUMENT, ace_cuda_acquire(engine, 1, &state, 1, -1, NULL));
    STATUS(BAD_ARGUMENT, ace_cuda_acquire(engine, 1, NULL, 1, -1, &lease));
    STATUS(BAD_ARGUMENT, ace_cuda_acquire(engine, 1, both, 2, -1, &lease));
    STATUS(UNKNOWN_HANDLE, ace_cuda_acquire(engine, 1, &engine, 1, -1, &lease));
    STATUS(ACE_CUDA_STATUS_UNKNOWN_AGENT, ace_cuda_acquire(engine, 99, &state, 1, -1, &lease));
    CHECK(lease == 0);
    lease = acquired(engine, 1, state);
    AceCudaState other = registered(engine, 1, 64);
    STATUS(ACE_CUDA_STATUS_NOT_IN_USE, ace_cuda_address(lease, other, &address));
    STATUS(ACE_CUDA_STATUS_NOT_IN_USE, ace_cuda_is_fresh(lease, other, &fresh));
    STATUS(ACE_CUDA_STATUS_NOT_IN_USE, ace_cuda_wrote(lease, other, 0, 1));
    STATUS(BAD_ARGUMENT, ace_cuda_address(lease, state, NULL));
    STATUS(BAD_ARGUMENT, ace_cuda_is_fresh(lease, state, NULL));
    STATUS(BAD_ARGUMENT, ace_cuda_wrote(lease, state, 0, MIB + 1));
    STATUS(BAD_ARGUMENT, ace_cuda_wrote(lease, state, UINT64_MAX, 2));
    STATUS(BAD_ARGUMENT, ace_cuda_copy_in(lease, state, MIB, "x", 1));
    STATUS(BAD_ARGUMENT, ace_cuda_copy_in(lease, state, 0, NULL, 1));
    STATUS(BAD_ARGUMENT, ace_cuda_copy_out(lease, state, UINT64_MAX, &address, 1));
    STATUS(BAD_ARGUMENT, ace_cuda_end_after(lease, (void *)2));
    STATUS(ACE_CUDA_STATUS_IN_USE, ace_cuda_unregister(engine, state));
    STATUS(ACE_CUDA_STATUS_IN_USE, ace_cuda_close(engine));
    STATUS(OK, ace_cuda_address(lease, state, &address));
    STATUS(OK, ace_cuda_end(lease));
    STATUS(UNKNOWN_HANDLE, ace_cuda_end(lease));
    STATUS(OK, ace_cuda_unregister(engine, other));
}

int main(int count, char **arguments) {
    begin(count, arguments);
    CHECK(ace_cuda_version() >= 100 && *ace_cuda_last_error() == 0);
    test_open();
    test_versions();
    AceCudaEngine engine = opened(8 * MIB), another = opened(8 * MIB);
    AceCudaState state = registered(engine, 1, MIB);
    STATUS(UNKNOWN_HANDLE, ace_cuda_pin(another, state));
    STATUS(OK, ace_cuda_close(another));
    test_register(engine);
    test_hints(engine, state);
    test_lease(engine, state);
    STATUS(OK, ace_cuda_close(engine));
    test_stale_numbers(0, 0, 0);
    test_stale_numbers(engine, state, state);
    test_stale_numbers(UINT64_MAX, 1, UINT64_MAX);
    CHECK(all_given_back());
    return verdict();
}
