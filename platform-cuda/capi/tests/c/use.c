/* States come and go, and what was written stays; tensors keep what they show; a lost device is told. */
#include "common.h"

static void test_contents(void) {
    AceCudaEngine engine = opened(4 * MIB);
    AceCudaState states[3];
    for (int agent = 0; agent < 3; agent++) states[agent] = registered(engine, 1, 2 * MIB);
    uint64_t first = 0, again = 0;
    uint32_t fresh = 9;
    AceCudaLease lease = acquired(engine, 1, states[0]);
    STATUS(OK, ace_cuda_address(lease, states[0], &first));
    STATUS(OK, ace_cuda_is_fresh(lease, states[0], &fresh));
    CHECK(fresh == 0);
    /* As a kernel would. */
    memset((void *)(first + 100), 0xAB, 1000);
    STATUS(OK, ace_cuda_wrote(lease, states[0], 100, 1000));
    unsigned char bytes[1002];
    STATUS(ACE_CUDA_STATUS_ON_DEVICE, ace_cuda_read_host(engine, states[0], 0, bytes, 1));
    STATUS(OK, ace_cuda_end_after(lease, NULL));
    /* The two others push it out. */
    AceCudaState pair[] = {states[1], states[2]};
    STATUS(OK, ace_cuda_acquire(engine, 1, pair, 2, 600000, &lease));
    AceCudaLease none = 0;
    STATUS(ACE_CUDA_STATUS_TIMED_OUT, ace_cuda_acquire(engine, 1, states, 1, 0, &none));
    STATUS(ACE_CUDA_STATUS_TIMED_OUT, ace_cuda_acquire(engine, 1, states, 1, 20, &none));
    STATUS(ACE_CUDA_STATUS_NO_ROOM, ace_cuda_pin(engine, states[0]));
    CHECK(none == 0 && arrives(engine, states[0], ACE_CUDA_PLACE_HOST_ONLY));
    STATUS(OK, ace_cuda_read_host(engine, states[0], 99, bytes, 1002));
    CHECK(bytes[0] == 0 && bytes[1] == 0xAB && bytes[1000] == 0xAB && bytes[1001] == 0);
    STATUS(OK, ace_cuda_write_host(engine, states[0], 50, "host", 4));
    STATUS(BAD_ARGUMENT, ace_cuda_write_host(engine, states[0], 2 * MIB - 3, "host", 4));
    STATUS(OK, ace_cuda_end(lease));
    lease = acquired(engine, 1, states[0]);
    STATUS(OK, ace_cuda_address(lease, states[0], &again));
    CHECK(again == first && !memcmp((void *)(first + 50), "host", 4));
    STATUS(OK, ace_cuda_copy_in(lease, states[0], 60, "copied", 6));
    STATUS(OK, ace_cuda_copy_out(lease, states[0], 59, bytes, 8));
    CHECK(!memcmp(bytes, "\0copied\0", 8));
    STATUS(OK, ace_cuda_copy_in(lease, states[0], 2 * MIB, NULL, 0));
    STATUS(OK, ace_cuda_end(lease));
    STATUS(OK, ace_cuda_demote(engine, states[0]));
    STATUS(OK, ace_cuda_acquire(engine, 1, pair, 2, -1, &lease));
    CHECK(arrives(engine, states[0], ACE_CUDA_PLACE_HOST_ONLY));
    STATUS(OK, ace_cuda_end(lease));
    STATUS(OK, ace_cuda_pin(engine, states[1]));
    STATUS(OK, ace_cuda_retain(engine, states[2], 3));
    STATUS(ACE_CUDA_STATUS_TIMED_OUT, ace_cuda_acquire(engine, 1, states, 1, 20, &none));
    CHECK(arrives(engine, states[1], ACE_CUDA_PLACE_RESIDENT));
    STATUS(OK, ace_cuda_read_host(engine, states[0], 60, bytes, 6));
    CHECK(!memcmp(bytes, "copied", 6));
    struct AceCudaStats stats = {.size = sizeof stats};
    STATUS(OK, ace_cuda_stats(engine, &stats));
    CHECK(stats.states == 3 && stats.limit_bytes == 4 * MIB && stats.evictions >= 2 && !stats.is_lost);
    CHECK(stats.inward_bytes > 0 && stats.outward_bytes > 0 && stats.leases == 0);
    STATUS(OK, ace_cuda_unpin(engine, states[1]));
    STATUS(OK, ace_cuda_close(engine));
    CHECK(all_given_back());
}

static void test_kinds_of_contents(void) {
    AceCudaEngine engine = opened(8 * MIB);
    static unsigned char copied[4096], borrowed[4096];
    uint64_t owners[] = {1, 2}, address;
    uint32_t fresh = 0;
    AceCudaState states[3];
    struct AceCudaStateInfo info = described(owners, sizeof copied);
    info.owner_count = 2;
    info.contents = ACE_CUDA_CONTENTS_COPIED, info.host = memset(copied, 1, sizeof copied);
    info.kind = ACE_CUDA_KIND_CUSTOM + 5;
    STATUS(OK, ace_cuda_register(engine, &info, &states[0]));
    memset(copied, 9, sizeof copied);
    info.contents = ACE_CUDA_CONTENTS_BORROWED, info.host = memset(borrowed, 2, sizeof borrowed);
    STATUS(OK, ace_cuda_register(engine, &info, &states[1]));
    info.contents = ACE_CUDA_CONTENTS_NONE, info.host = NULL;
    STATUS(OK, ace_cuda_register(engine, &info, &states[2]));
    AceCudaLease lease = 0;
    STATUS(OK, ace_cuda_acquire(engine, 2, states, 3, -1, &lease));
    STATUS(OK, ace_cuda_address(lease, states[0], &address));
    CHECK(*(unsigned char *)address == 1);
    STATUS(OK, ace_cuda_address(lease, states[1], &address));
    CHECK(*(unsigned char *)address == 2);
    memset((void *)address, 3, sizeof borrowed);
    STATUS(OK, ace_cuda_wrote(lease, states[1], 0, sizeof borrowed));
    STATUS(OK, ace_cuda_is_fresh(lease, states[2], &fresh));
    CHECK(fresh == 1);
    STATUS(OK, ace_cuda_end(lease));
    STATUS(OK, ace_cuda_set_budget(engine, 2 * MIB));
    lease = acquired(engine, 1, states[0]);
    CHECK(arrives(engine, states[1], ACE_CUDA_PLACE_HOST_ONLY));
    CHECK(borrowed[0] == 3 && borrowed[4095] == 3);
    CHECK(arrives(engine, states[2], ACE_CUDA_PLACE_ABSENT));
    STATUS(OK, ace_cuda_end(lease));
    STATUS(OK, ace_cuda_unregister(engine, states[1]));
    STATUS(UNKNOWN_HANDLE, ace_cuda_unregister(engine, states[1]));
    STATUS(OK, ace_cuda_close(engine));
}

static void test_tensors(void) {
    AceCudaEngine engine = opened(2 * MIB);
    AceCudaState state = registered(engine, 1, MIB), other = registered(engine, 1, MIB);
    AceCudaLease lease = acquired(engine, 1, state), none = 0;
    uint64_t address;
    STATUS(OK, ace_cuda_address(lease, state, &address));
    int64_t shape[] = {16, 8, 4}, negative[] = {4, -1}, huge[] = {1LL << 40, 1LL << 40}, zero[] = {3, 0};
    int64_t exact = MIB / 4, more = MIB / 4 + 1;
    struct DLManagedTensor *tensor = NULL;
    struct DLManagedTensorVersioned *versioned = NULL;
    STATUS(BAD_ARGUMENT, ace_cuda_dlpack(lease, state, 0, 2, 32, shape, 3, NULL));
    STATUS(BAD_ARGUMENT, ace_cuda_dlpack(lease, state, 0, 2, 32, NULL, 3, &tensor));
    STATUS(BAD_ARGUMENT, ace_cuda_dlpack(lease, state, 0, 2, 32, shape, -1, &tensor));
    STATUS(BAD_ARGUMENT, ace_cuda_dlpack(lease, state, 0, 2, 32, negative, 2, &tensor));
    STATUS(BAD_ARGUMENT, ace_cuda_dlpack(lease, state, 0, 2, 32, huge, 2, &tensor));
    STATUS(BAD_ARGUMENT, ace_cuda_dlpack(lease, state, 0, 2, 32, &more, 1, &tensor));
    STATUS(BAD_ARGUMENT, ace_cuda_dlpack(lease, state, 4, 2, 32, &exact, 1, &tensor));
    STATUS(BAD_ARGUMENT, ace_cuda_dlpack(lease, state, UINT64_MAX - 3, 2, 32, shape, 1, &tensor));
    STATUS(BAD_ARGUMENT, ace_cuda_dlpack(lease, state, 2, 2, 32, shape, 1, &tensor));
    STATUS(BAD_ARGUMENT, ace_cuda_dlpack(lease, state, 0, 2, 0, shape, 1, &tensor));
    STATUS(BAD_ARGUMENT, ace_cuda_dlpack(lease, state, 0, 99, 32, shape, 1, &tensor));
    STATUS(ACE_CUDA_STATUS_NOT_IN_USE, ace_cuda_dlpack(lease, other, 0, 2, 32, shape, 1, &tensor));
    CHECK(tensor == NULL);
    STATUS(OK, ace_cuda_dlpack(lease, state, 0, 2, 32, &exact, 1, &tensor));
    tensor->deleter(tensor);
    STATUS(OK, ace_cuda_dlpack(lease, state, 0, 2, 32, zero, 2, &tensor));
    CHECK(tensor->dl_tensor.data == NULL && tensor->dl_tensor.shape[1] == 0);
    tensor->deleter(tensor);
    STATUS(OK, ace_cuda_dlpack(lease, state, 0, 2, 32, NULL, 0, &tensor));
    CHECK(tensor->dl_tensor.ndim == 0 && tensor->dl_tensor.data == (void *)address);
    tensor->deleter(tensor);

    STATUS(OK, ace_cuda_dlpack(lease, state, 512, 2, 32, shape, 3, &tensor));
    STATUS(OK, ace_cuda_dlpack_versioned(lease, state, 0, 4, 16, shape, 2, &versioned));
    Tensor *seen = &tensor->dl_tensor;
    CHECK(seen->data == (void *)(address + 512) && seen->byte_offset == 0);
    CHECK(seen->device.device_type == 1 && seen->device.device_id == 0);
    CHECK(seen->dtype.code == 2 && seen->dtype.bits == 32 && seen->dtype.lanes == 1);
    CHECK(seen->ndim == 3 && seen->shape[0] == 16 && seen->shape[1] == 8 && seen->shape[2] == 4);
    CHECK(seen->strides[0] == 32 && seen->strides[1] == 4 && seen->strides[2] == 1);
    CHECK(versioned->major == 1 && versioned->flags == 0 && versioned->dl_tensor.dtype.code == 4);
    CHECK(versioned->dl_tensor.data == (void *)address && versioned->dl_tensor.strides[0] == 8);

    /* The use goes on without its number, until the last tensor goes. */
    STATUS(OK, ace_cuda_end(lease));
    STATUS(UNKNOWN_HANDLE, ace_cuda_wrote(lease, state, 0, 1));
    for (int left = 2; left > 0; left--) {
        STATUS(ACE_CUDA_STATUS_IN_USE, ace_cuda_close(engine));
        STATUS(ACE_CUDA_STATUS_TIMED_OUT, ace_cuda_acquire(engine, 1, &other, 1, 20, &none));
        memset((void *)address, left, MIB);
        left == 2 ? tensor->deleter(tensor) : versioned->deleter(versioned);
    }
    lease = acquired(engine, 1, other);
    CHECK(arrives(engine, state, ACE_CUDA_PLACE_HOST_ONLY));
    STATUS(OK, ace_cuda_dlpack(lease, other, 0, 2, 32, &exact, 1, &tensor));
    STATUS(OK, ace_cuda_end_after(lease, NULL));
    STATUS(ACE_CUDA_STATUS_IN_USE, ace_cuda_close(engine));
    /* Nothing is copied now, so what is recorded is the end of the stream's work. */
    uint64_t recorded = fake_calls("cuEventRecord");
    tensor->deleter(tensor);
    CHECK(fake_calls("cuEventRecord") == recorded + 1);
    lease = acquired(engine, 1, state);
    STATUS(OK, ace_cuda_end(lease));
    STATUS(OK, ace_cuda_close(engine));
    CHECK(all_given_back());
}

static void test_device_numbers(void) {
    CHECK(fake_configure("devices=2") == 0);
    struct AceCudaSettings settings = {.size = sizeof settings, .driver = driver, .device = 1};
    AceCudaEngine engine = 0;
    STATUS(OK, ace_cuda_open(&settings, &engine));
    AceCudaState state = registered(engine, 1, MIB);
    AceCudaLease lease = acquired(engine, 1, state);
    struct DLManagedTensor *tensor = NULL;
    int64_t shape = 8;
    STATUS(OK, ace_cuda_dlpack(lease, state, 0, 1, 8, &shape, 1, &tensor));
    CHECK(tensor->dl_tensor.device.device_type == 2 && tensor->dl_tensor.device.device_id == 1);
    tensor->deleter(tensor);
    STATUS(OK, ace_cuda_end(lease));
    STATUS(OK, ace_cuda_close(engine));
}

static void test_heap(void) {
    AceCudaHeap heap = 0;
    STATUS(BAD_ARGUMENT, ace_cuda_heap_open(driver, 0, 0, &heap));
    STATUS(BAD_ARGUMENT, ace_cuda_heap_open(driver, 0, MIB, NULL));
    STATUS(ACE_CUDA_STATUS_NO_DEVICE, ace_cuda_heap_open(driver, 9, MIB, &heap));
    STATUS(OK, ace_cuda_heap_open(driver, 0, 16 * MIB, &heap));
    uint64_t blocks[100], bytes = 0, none = 0;
    STATUS(BAD_ARGUMENT, ace_cuda_heap_alloc(heap, 0, 0, &none));
    STATUS(BAD_ARGUMENT, ace_cuda_heap_alloc(heap, 1, 3, &none));
    STATUS(BAD_ARGUMENT, ace_cuda_heap_alloc(heap, 1, 0, NULL));
    STATUS(ACE_CUDA_STATUS_OUT_OF_MEMORY, ace_cuda_heap_alloc(heap, 17 * MIB, 0, &none));
    STATUS(UNKNOWN_HANDLE, ace_cuda_heap_free(heap, 4096));
    CHECK(none == 0);
    for (int i = 0; i < 100; i++) {
        STATUS(OK, ace_cuda_heap_alloc(heap, 1000, i % 2 ? 4096 : 0, &blocks[i]));
        CHECK(blocks[i] % (i % 2 ? 4096 : 256) == 0);
        memset((void *)blocks[i], i, 1000);
    }
    for (int i = 0; i < 100; i++) CHECK(((unsigned char *)blocks[i])[999] == i);
    STATUS(OK, ace_cuda_heap_size(heap, blocks[0], &bytes));
    CHECK(bytes >= 1000);
    struct AceCudaHeapStats stats = {.size = sizeof stats};
    STATUS(OK, ace_cuda_heap_stats(heap, &stats));
    CHECK(stats.blocks == 100 && stats.limit_bytes == 16 * MIB && stats.mapped_bytes <= 16 * MIB);
    STATUS(ACE_CUDA_STATUS_IN_USE, ace_cuda_heap_close(heap));
    for (int i = 0; i < 100; i++) STATUS(OK, ace_cuda_heap_free(heap, blocks[i]));
    STATUS(UNKNOWN_HANDLE, ace_cuda_heap_free(heap, blocks[0]));
    STATUS(UNKNOWN_HANDLE, ace_cuda_heap_size(heap, blocks[0], &bytes));
    STATUS(OK, ace_cuda_heap_trim(heap, 0));
    STATUS(OK, ace_cuda_heap_stats(heap, &stats));
    CHECK(stats.blocks == 0 && stats.mapped_bytes == 0);
    STATUS(OK, ace_cuda_heap_close(heap));
    STATUS(UNKNOWN_HANDLE, ace_cuda_heap_close(heap));
}

static void test_lost_device(void) {
    AceCudaEngine engine = opened(8 * MIB);
    AceCudaState clean = registered(engine, 1, MIB), dirty = registered(engine, 1, MIB);
    STATUS(OK, ace_cuda_write_host(engine, clean, 0, "clean", 5));
    AceCudaState both[] = {clean, dirty};
    AceCudaLease lease = 0;
    STATUS(OK, ace_cuda_acquire(engine, 1, both, 2, -1, &lease));
    STATUS(OK, ace_cuda_copy_in(lease, dirty, 0, "dirty", 5));
    CHECK(fake_configure("fail=cuEventRecord:1:719:lost") == 0);
    /* The use is over with the device. */
    AceCudaStatus ended = ace_cuda_end_after(lease, NULL);
    if (ended != OK) STATUS(OK, ace_cuda_end(lease));
    CHECK(arrives(engine, dirty, ACE_CUDA_PLACE_POISONED));
    STATUS(ACE_CUDA_STATUS_DEVICE_LOST, ace_cuda_acquire(engine, 1, &clean, 1, -1, &lease));
    char bytes[5];
    STATUS(OK, ace_cuda_read_host(engine, clean, 0, bytes, 5));
    CHECK(!memcmp(bytes, "clean", 5));
    struct AceCudaStats stats = {.size = sizeof stats};
    STATUS(OK, ace_cuda_stats(engine, &stats));
    CHECK(stats.is_lost == 1);
    STATUS(OK, ace_cuda_close(engine));
    fake_reset();
}

int main(int count, char **arguments) {
    begin(count, arguments);
    test_contents();
    test_kinds_of_contents();
    test_tensors();
    test_device_numbers();
    test_heap();
    test_lost_device();
    return verdict();
}
