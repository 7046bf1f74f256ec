"""The scripts that compare values with what was read and set them, in Redis or Valkey; they compute no state."""

from typing import NamedTuple

# Part of both: notes a key in the roster, and adds to `answer` how many of its offsets were already set.
_NOTE = """\
    for offset in string.gmatch(offsets, '%d+') do
      local bit = redis.pcall('SETBIT', KEYS[1], offset, 1)
      if type(bit) == 'table' then
        if not string.find(bit.err, 'WRONGTYPE') then return bit end
        answer = -3
        break
      end
      answer = answer + bit
    end
"""
# KEYS: the roster, then the values. ARGV: TTL in milliseconds, then for every value its expected version ('' for none),
# the new value, and the roster offsets of a watched key that is expected to be missing ('' for any other), separated by
# spaces. Returns -1 where another writer won, -2 where the key is of another type, -3 where the roster is; else how
# many of the offsets were already set.
COMPARE_AND_SET = (
    """
local answers, arg = {}, 1
for i = 2, #KEYS do
  local expected, value, offsets = ARGV[arg + 1], ARGV[arg + 2], ARGV[arg + 3]
  arg = arg + 3
  local answer = -1
  local version = redis.pcall('GETRANGE', KEYS[i], 0, 7)
  if type(version) == 'table' then
    if not string.find(version.err, 'WRONGTYPE') then return version end
    answer = -2
  elseif version == expected then
    answer = 0
"""
    + _NOTE
    + """\
    if answer >= 0 then redis.call('SET', KEYS[i], value, 'PX', ARGV[1]) end
  end
  answers[i - 1] = answer
end
return answers
"""
)
# As above, for values with another name, which follows each key in KEYS; ARGV has its expected version after that of
# the key. Also returns -4 where the other name is of another type.
TAKE_OVER = (
    """
local answers, arg = {}, 1
for i = 2, #KEYS, 2 do
  local answer = 0
  for j = 0, 1 do
    local version = redis.pcall('GETRANGE', KEYS[i + j], 0, 7)
    if type(version) == 'table' then
      if not string.find(version.err, 'WRONGTYPE') then return version end
      answer = -2 - 2 * j
      break
    elseif version ~= ARGV[arg + 1 + j] then
      answer = -1
      break
    end
  end
  if answer == 0 then
    local offsets = ARGV[arg + 4]
"""
    + _NOTE
    + """\
    if answer >= 0 then
      redis.call('SET', KEYS[i], ARGV[arg + 3], 'PX', ARGV[1])
      redis.call('DEL', KEYS[i + 1])
    end
  end
  arg = arg + 4
  answers[i / 2] = answer
end
return answers
"""
)
CHANGED, FOREIGN, ROSTER_FOREIGN, OTHER_FOREIGN = -1, -2, -3, -4
"""Answers for a key that was not set."""
AGAIN = frozenset({CHANGED, ROSTER_FOREIGN})
"""Those of another writer, and not of a key of another type."""


class Write(NamedTuple):
    """A new value of a key.

    expected: the version that the key must have, empty for none; value: version and content; other: another name whose
    value goes with this write, and the version that it must have.
    """

    key: str
    expected: bytes
    value: bytes
    other: tuple[str, bytes] | None = None

    @property
    def moved(self) -> bool:
        """Whether the value is stored under the other name."""
        return self.other is not None and not self.expected and bool(self.other[1])

    @property
    def script(self) -> str:
        """The one that makes this write."""
        return COMPARE_AND_SET if self.other is None else TAKE_OVER

    @property
    def names(self) -> tuple[str, ...]:
        """The keys that the script is given."""
        return (self.key,) if self.other is None else (self.key, self.other[0])

    def arguments(self, offsets: str) -> tuple[bytes | str, ...]:
        """What the script is given. offsets: of the roster, for a watched key that is expected to be missing."""
        expected = (self.expected,) if self.other is None else (self.expected, self.other[1])
        return (*expected, self.value, offsets)
