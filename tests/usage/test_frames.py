"""Frames: what was packed is unpacked, and damage takes nothing else along."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llmopt.usage.frames import LIMIT_BYTES, MAGIC, VERSION, is_unfinished, pack, unpack

HEADER = 8
PAYLOADS = st.lists(st.text(min_size=1).map(str.encode), max_size=8)


def packed(payloads):
    return b"".join(map(pack, payloads))


@given(PAYLOADS)
def test_what_was_packed_is_unpacked(payloads):
    buffer = packed(payloads)
    assert unpack(buffer) == (payloads, len(buffer), 0)


@given(st.lists(st.binary(min_size=1), max_size=8))
def test_payloads_may_hold_anything(payloads):
    assert unpack(packed(payloads)).payloads == payloads


def test_a_frame_tells_length_and_checksum():
    assert pack(b"one") == b"\x03\0\0\0" + zlib.crc32(b"one").to_bytes(4, "little") + b"one"
    assert (len(MAGIC), MAGIC[-1]) == (8, VERSION)


@pytest.mark.parametrize("size", [0, LIMIT_BYTES + 1])
def test_what_no_frame_can_hold_is_refused(size):
    with pytest.raises(ValueError, match=f"1 to {LIMIT_BYTES} bytes, not {size}"):
        pack(bytes(size))


def test_the_longest_payload():
    payload = b"x" * LIMIT_BYTES
    assert unpack(pack(payload)).payloads == [payload]


def test_cut_at_every_byte():
    payloads = [b'["record",%d,"%s"]' % (n, b"x" * n) for n in range(12)]
    buffer, ends = packed(payloads), [0]
    for payload in payloads:
        ends.append(ends[-1] + HEADER + len(payload))
    for cut in range(len(buffer) + 1):
        whole = sum(end <= cut for end in ends) - 1
        assert unpack(buffer[:cut]) == (payloads[:whole], ends[whole], 0)
        assert is_unfinished(buffer[ends[whole] : cut])


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_every_damaged_byte_takes_its_own_frame_alone(mask):
    payloads = [b'["record",%d,"%s"]' % (n, b"x" * 5 * n) for n in range(5)]
    whole = packed(payloads)
    at = 0
    for number, payload in enumerate(payloads):
        end = at + HEADER + len(payload)
        rest = payloads[:number] + payloads[number + 1 :]
        for place in range(at, end):
            damaged = bytearray(whole)
            damaged[place] ^= mask
            found = unpack(bytes(damaged))
            assert found.payloads == rest
            last = number == len(payloads) - 1
            assert found[1:] == ((at, 0) if last else (len(whole), end - at))
        at = end


@given(PAYLOADS, st.binary(max_size=64), PAYLOADS.filter(bool))
def test_frames_are_found_behind_any_damage(before, damage, after):
    buffer = packed(before) + damage + packed(after)
    found = unpack(buffer)
    assert found.payloads[: len(before)] == before
    assert found.payloads[-len(after) :] == after
    assert (found.consumed, found.lost) == (len(buffer), len(buffer) - len(packed(found.payloads)))


@given(st.binary(max_size=300))
@example(b"\x04\0\0\0" + bytes(8))
def test_nothing_is_raised_whatever_there_is(buffer):
    payloads, consumed, lost = unpack(buffer)
    assert 0 <= lost <= consumed <= len(buffer)
    assert len(packed(payloads)) == consumed - lost
    is_unfinished(buffer)


@pytest.mark.parametrize("zeros", [1, 7, 8, 9, 4096])
def test_zeros_at_the_end_are_no_frames(zeros):
    buffer = pack(b"one")
    assert unpack(buffer + bytes(zeros)) == ([b"one"], len(buffer), 0)
    assert not is_unfinished(bytes(zeros))


def test_zeros_are_passed_quickly():
    buffer = pack(b"one") + bytes(2**20) + pack(b"two")
    assert unpack(buffer) == ([b"one", b"two"], len(buffer), 2**20)


def test_what_is_unfinished():
    frame = pack(b"one")
    assert is_unfinished(b"")
    assert not is_unfinished(frame)
    assert not is_unfinished(frame[:-1] + b"?")
    assert not is_unfinished(b"\xff" * 20), "no frame is as long as that"
