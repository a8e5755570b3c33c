//! Addresses, physical memory and mappings by CUDA's virtual memory management. Floor: ground.

use super::context::{Context, call};
use crate::device::{DeviceAddress, DeviceFault};
use core::mem::MaybeUninit;
use cuda_driver_sys::{
    CUmemAccess_flags, CUmemAccessDesc, CUmemAllocationGranularity_flags, CUmemAllocationProp,
    CUmemAllocationType, CUmemGenericAllocationHandle, CUmemLocation, CUmemLocationType,
};

/// Physical memory of a [`super::CudaDevice`].
#[derive(Debug)]
pub struct Block {
    handle: CUmemGenericAllocationHandle,
    bytes: u64,
}

fn location(context: &Context) -> CUmemLocation {
    CUmemLocation { type_: CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE, id: context.device }
}

/// Memory on the device that no other process may import. This has handle type 0, which the enum of
/// `cuda-driver-sys` lacks: so the structure is never made up as a value, only written field by field.
fn property(context: &Context) -> MaybeUninit<CUmemAllocationProp> {
    let mut property = MaybeUninit::<CUmemAllocationProp>::zeroed();
    let at = property.as_mut_ptr();
    // SAFETY: `at` points to room for the structure; a field is written, none is read.
    unsafe { (&raw mut (*at).type_).write(CUmemAllocationType::CU_MEM_ALLOCATION_TYPE_PINNED) };
    // SAFETY: As above.
    unsafe { (&raw mut (*at).location).write(location(context)) };
    property
}

/// The grain of addresses and physical memory.
pub(super) fn granularity(context: &Context) -> Result<u64, DeviceFault> {
    let (mut bytes, property) = (0, property(context));
    let option = CUmemAllocationGranularity_flags::CU_MEM_ALLOC_GRANULARITY_MINIMUM as u32;
    // SAFETY: The driver reads the property and writes a number to a place of ours.
    unsafe { call!(context, mem_get_granularity(&raw mut bytes, property.as_ptr(), option)) }?;
    Ok(bytes as u64)
}

fn size(bytes: u64) -> Result<usize, DeviceFault> {
    usize::try_from(bytes).map_err(|_| DeviceFault::OutOfMemory)
}

/// Sets addresses aside.
pub(super) fn reserve(context: &Context, bytes: u64) -> Result<DeviceAddress, DeviceFault> {
    let (mut start, bytes) = (0, size(bytes)?);
    // SAFETY: The driver writes an address to a place of ours; alignment and place are its choice.
    unsafe { call!(context, mem_address_reserve(&raw mut start, bytes, 0, 0, 0)) }?;
    Ok(DeviceAddress(start))
}

/// Gives addresses back.
///
/// # Safety
/// They came from `reserve` with this length, nothing is mapped there, and nobody uses them.
pub(super) unsafe fn release(
    context: &Context,
    start: DeviceAddress,
    bytes: u64,
) -> Result<(), DeviceFault> {
    let bytes = size(bytes)?;
    // SAFETY: The caller's promise.
    context.insist(|| unsafe { call!(context, mem_address_free(start.0, bytes)) })
}

/// Physical memory.
pub(super) fn create(context: &Context, bytes: u64) -> Result<Block, DeviceFault> {
    let (mut handle, property, length) = (0, property(context), size(bytes)?);
    // SAFETY: The driver reads the property and writes a handle to a place of ours.
    unsafe { call!(context, mem_create(&raw mut handle, length, property.as_ptr(), 0)) }?;
    Ok(Block { handle, bytes })
}

/// Gives physical memory back.
#[expect(clippy::needless_pass_by_value, reason = "the block is gone")]
pub(super) fn destroy(context: &Context, block: Block) -> Result<(), DeviceFault> {
    // SAFETY: The handle came from `create` and goes with the block.
    context.insist(|| unsafe { call!(context, mem_release(block.handle)) })
}

/// Puts a block behind addresses and lets the device read and write there.
///
/// # Safety
/// As of [`place`].
pub(super) unsafe fn map(
    context: &Context,
    start: DeviceAddress,
    block: &Block,
) -> Result<(), DeviceFault> {
    // SAFETY: The caller's promise.
    unsafe { place(context, start, block) }?;
    // SAFETY: It was mapped just now.
    unsafe { allow(context, start, block.bytes) }.inspect_err(|_| {
        // SAFETY: It was mapped just now, and nobody has touched it. If even this is refused, the next
        // `map` there is refused too, and nothing else is harmed.
        let _ = context.insist(|| unsafe { unmap(context, start, block.bytes) });
    })
}

/// Puts a block behind addresses. Nobody may touch it yet.
///
/// # Safety
/// The addresses are reserved, nothing is mapped there, and the block is mapped nowhere.
pub(super) unsafe fn place(
    context: &Context,
    start: DeviceAddress,
    block: &Block,
) -> Result<(), DeviceFault> {
    let bytes = size(block.bytes)?;
    // SAFETY: The caller's promise; the whole block is mapped, as offsets are not supported.
    unsafe { call!(context, mem_map(start.0, bytes, 0, block.handle, 0)) }
}

/// Lets the device read and write what was placed at these addresses: one block or several.
///
/// # Safety
/// Whole blocks are mapped there, without a gap.
pub(super) unsafe fn allow(
    context: &Context,
    start: DeviceAddress,
    bytes: u64,
) -> Result<(), DeviceFault> {
    let bytes = size(bytes)?;
    let access = CUmemAccessDesc {
        location: location(context),
        flags: CUmemAccess_flags::CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
    };
    // SAFETY: The caller's promise, and the driver reads one description.
    unsafe { call!(context, mem_set_access(start.0, bytes, &raw const access, 1)) }
}

/// Takes what is there from behind addresses: one block or several.
///
/// # Safety
/// Whole blocks of `bytes` together are mapped there, and no work on the device touches them any more.
pub(super) unsafe fn unmap(
    context: &Context,
    start: DeviceAddress,
    bytes: u64,
) -> Result<(), DeviceFault> {
    let bytes = size(bytes)?;
    // SAFETY: The caller's promise.
    unsafe { call!(context, mem_unmap(start.0, bytes)) }
}
