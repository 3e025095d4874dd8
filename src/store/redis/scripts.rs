//! What Redis is asked to do, as scripts: each runs there as one step, so that nobody sees half of it and a limit holds
//! for every hub on the same Redis.
//!
//! A script is sent again when its connection broke, so each may run twice with the same arguments: it then comes to the
//! same. Times of life are told by the hub, as how long and not as when; Redis counts them down by its own clock.
//!
//! Of a token there is a hash: `record`, `single`, `ttl`, `ends` (by the clock of hubs), `outstanding` and `within` (the sets
//! by which it is counted), and while a stream holds it that `stream` and `until` (by the clock of Redis). What is outstanding of a
//! parent is a sorted set by the time it runs out, and what is revoked together is one by the time it was added.
//!
//! A hash goes by itself when its token has run out; one that a stream holds, at the token's end. Behind `until` it is a
//! token for that stream alone, which may be kept late. One that was revoked is gone: nothing brings it back.

/// Where all keys begin.
pub(super) const PREFIX: &str = "tambour:stream-tokens:";
/// Where hubs tell each other.
pub(super) const CHANNEL: &str = "tambour:stream-tokens";
/// What a notice of a stream begins with that lost its token to another.
pub(super) const REPLACED: &str = "replaced ";
/// What a notice of a token begins with that was taken away.
pub(super) const REVOKED: &str = "revoked ";

/// Keys: the token, what is outstanding of its parent and of its wider bound (or of its parent again), and the sets by which
/// it is revoked. Arguments: most that are outstanding of the parent, the digest, record, single, ttl, ends, now, prefix,
/// most of the wider bound. Answers 1, or 0 when there is no room.
///
/// What ran out is taken from the sets by which tokens are revoked a few at a time, as many as come in at most.
pub(super) const ISSUE: &str = r"
local t = redis.call('TIME')
local here = t[1] * 1000 + math.floor(t[2] / 1000)
if redis.call('EXISTS', KEYS[1]) == 1 then return 1 end
for i, most in ipairs({ARGV[1], ARGV[9]}) do
  redis.call('ZREMRANGEBYSCORE', KEYS[1 + i], '-inf', here)
  if redis.call('ZCARD', KEYS[1 + i]) >= tonumber(most) then return 0 end
end
-- Ten years are for ever: a larger number would not be written as one.
local left = math.min(tonumber(ARGV[6]) - tonumber(ARGV[7]), 315360000000)
local ttl = math.min(tonumber(ARGV[5]), left)
if ttl <= 0 then return 1 end
redis.call('HSET', KEYS[1], 'record', ARGV[3], 'single', ARGV[4], 'ttl', ARGV[5], 'ends', ARGV[6], 'outstanding', KEYS[2], 'within', KEYS[3])
redis.call('PEXPIRE', KEYS[1], ttl)
for i = 2, 3 do
  redis.call('ZADD', KEYS[i], here + ttl, ARGV[2])
  redis.call('PEXPIRE', KEYS[i], math.max(ttl, redis.call('PTTL', KEYS[i])))
end
for i = 4, #KEYS do
  for _, old in ipairs(redis.call('ZRANGE', KEYS[i], 0, 1)) do
    if redis.call('EXISTS', ARGV[8] .. old) == 0 then
      redis.call('ZREM', KEYS[i], old)
    else
      redis.call('ZADD', KEYS[i], here, old)
    end
  end
  redis.call('ZADD', KEYS[i], here, ARGV[2])
  redis.call('PEXPIRE', KEYS[i], math.max(left, redis.call('PTTL', KEYS[i])))
end
return 1
";

/// Key: the token. Answers its record, or nothing.
pub(super) const FIND: &str = r"
local t = redis.call('TIME')
local here = t[1] * 1000 + math.floor(t[2] / 1000)
local r = redis.call('HMGET', KEYS[1], 'record', 'single', 'opened', 'until')
if not r[1] or (r[2] == '1' and r[3]) or (r[4] and tonumber(r[4]) <= here) then return false end
return r[1]
";

/// Key: the token. Arguments: the stream, the digest, how long it is kept, now, channel, what a notice begins with. Answers
/// the record and the stream that had it, or nothing.
pub(super) const OPEN: &str = r"
local t = redis.call('TIME')
local here = t[1] * 1000 + math.floor(t[2] / 1000)
local r = redis.call('HMGET', KEYS[1], 'record', 'single', 'ttl', 'ends', 'outstanding', 'stream', 'opened', 'until', 'within')
if not r[1] or (r[2] == '1' and r[7] and r[6] ~= ARGV[1]) or (r[8] and tonumber(r[8]) <= here) then return false end
local left = math.min(tonumber(r[4]) - tonumber(ARGV[4]), 315360000000)
if left <= 0 then return false end
redis.call('ZREM', r[5], ARGV[2])
-- Tokens of a hub before this one have no other.
if r[9] then redis.call('ZREM', r[9], ARGV[2]) end
redis.call('HSET', KEYS[1], 'stream', ARGV[1], 'opened', '1', 'until', here + math.min(r[3] + ARGV[3], left))
redis.call('PEXPIRE', KEYS[1], left)
local before = ''
if r[6] and r[6] ~= ARGV[1] then
  before = r[6]
  redis.call('PUBLISH', ARGV[5], ARGV[6] .. before)
end
return {r[1], before}
";

/// Keys: tokens. Arguments: how long they are kept, now, and the stream of each. Answers a number for each: 0 it is gone, 1
/// it lives, 2 it is another's.
pub(super) const KEEP: &str = r"
local t = redis.call('TIME')
local here = t[1] * 1000 + math.floor(t[2] / 1000)
local kept = {}
for i = 1, #KEYS do
  local r = redis.call('HMGET', KEYS[i], 'stream', 'ttl', 'ends')
  if not r[2] then
    kept[i] = 0
  elseif r[1] ~= ARGV[2 + i] then
    kept[i] = 2
  else
    local left = math.min(r[3] - ARGV[2], 315360000000)
    kept[i] = left > 0 and 1 or 0
    redis.call('HSET', KEYS[i], 'until', here + math.min(r[2] + ARGV[1], left))
    redis.call('PEXPIRE', KEYS[i], math.max(1, left))
  end
end
return kept
";

/// Keys: tokens. Arguments: now, and the stream of each.
pub(super) const RELEASE: &str = r"
for i = 1, #KEYS do
  local r = redis.call('HMGET', KEYS[i], 'stream', 'ttl', 'ends', 'single')
  if r[1] and r[1] == ARGV[1 + i] then
    if r[4] == '1' then
      redis.call('DEL', KEYS[i])
    else
      redis.call('HDEL', KEYS[i], 'stream', 'until')
      redis.call('PEXPIRE', KEYS[i], math.max(1, math.min(tonumber(r[2]), r[3] - ARGV[1])))
    end
  end
end
return 1
";

/// Key: a set of tokens, or nothing. Arguments: prefix, channel, what a notice begins with, the roles of the tokens that go
/// (each between blanks), until when those were made, and digests where there is no set. Answers the digests of those that
/// lived and go.
///
/// Role and time are those of the record, so that tokens of hubs of every version are judged alike.
pub(super) const REVOKE: &str = r"
local gone = {}
local digests = {unpack(ARGV, 6)}
if #KEYS > 0 then digests = redis.call('ZRANGE', KEYS[1], 0, -1) end
for _, digest in ipairs(digests) do
  local r = redis.call('HMGET', ARGV[1] .. digest, 'record', 'outstanding', 'within')
  local read, record = pcall(cjson.decode, r[1] or '')
  -- What nobody can read opens nothing, and must not keep others.
  local known = read and type(record) == 'table' and record.role and record.issued_at_ms
  local goes = not known or (string.find(ARGV[4], ' ' .. record.role .. ' ', 1, true)
    and record.issued_at_ms <= tonumber(ARGV[5]))
  if goes and #KEYS > 0 then redis.call('ZREM', KEYS[1], digest) end
  if goes and r[1] then
    redis.call('ZREM', r[2], digest)
    if r[3] then redis.call('ZREM', r[3], digest) end
    redis.call('DEL', ARGV[1] .. digest)
    redis.call('PUBLISH', ARGV[2], ARGV[3] .. digest)
    gone[#gone + 1] = digest
  end
end
return gone
";
