"""The scripts that Redis runs for `shared_slots` and `shared_limits`, each as one atomic step.

For each limit there are seven keys. `held` and `pending` map tokens to the end of their lease in ms, `waiting` maps
them to their rank; `lowered` is a smaller size for a while; `sequence` numbers arrivals. `beat` exists as long as any
process reports. When it did not, what is held may be unknown here: while `settling` exists, until all processes have
reported, each gets no more than its share.

A token begins with the name of its process and a colon. A process hears of a slot that it waited for through a list,
its mailbox.
"""

_BASE = """
local held, pending, waiting, lowered, sequence, beat, settling = unpack(KEYS)
local name, size, share, lease, mailboxes = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

redis.call('ZREMRANGEBYSCORE', held, '-inf', now)
for _, token in ipairs(redis.call('ZRANGEBYSCORE', pending, '-inf', now)) do
  redis.call('ZREM', pending, token)
  redis.call('ZREM', waiting, token)
end
if redis.call('EXISTS', beat) == 0 then
  redis.call('SET', settling, 1, 'PX', 1500)
end
redis.call('SET', beat, 1, 'PX', 3000)

local function process_of(token)
  return string.match(token, '^[^:]+')
end

local function enqueue(token, urgent)
  local rank = redis.call('INCR', sequence)
  if urgent ~= '1' then
    rank = rank + 1e12
  end
  redis.call('ZADD', waiting, rank, token)
  redis.call('ZADD', pending, now + lease, token)
end

local function held_by_process()
  local counts = {}
  for _, token in ipairs(redis.call('ZRANGE', held, 0, -1)) do
    local process = process_of(token)
    counts[process] = (counts[process] or 0) + 1
  end
  return counts
end

-- Hands free slots to those that wait, in order. Whoever asks, `own`, learns of it from the answer.
local function hand_out(own)
  local free = math.min(size, tonumber(redis.call('GET', lowered) or size)) - redis.call('ZCARD', held)
  if free <= 0 then
    return
  end
  local counts = redis.call('EXISTS', settling) == 1 and held_by_process()
  for _, token in ipairs(redis.call('ZRANGE', waiting, 0, counts and -1 or free - 1)) do
    local process = process_of(token)
    if free > 0 and (not counts or (counts[process] or 0) < share) then
      redis.call('ZREM', waiting, token)
      redis.call('ZREM', pending, token)
      redis.call('ZADD', held, now + lease, token)
      free = free - 1
      if counts then
        counts[process] = (counts[process] or 0) + 1
      end
      if token ~= own then
        redis.call('RPUSH', mailboxes .. process, name .. ' ' .. token)
        redis.call('PEXPIRE', mailboxes .. process, lease)
      end
    end
  end
end
"""

# Asks for a slot. Returns 1 if the token got it at once.
ACQUIRE = (
    _BASE
    + """
enqueue(ARGV[6], ARGV[7])
hand_out(ARGV[6])
return redis.call('ZSCORE', held, ARGV[6]) and 1 or 0
"""
)

# Gives a slot or a place in the queue back.
RELEASE = (
    _BASE
    + """
redis.call('ZREM', held, ARGV[6])
redis.call('ZREM', waiting, ARGV[6])
redis.call('ZREM', pending, ARGV[6])
hand_out('')
"""
)

# Reports what a process holds (ARGV[6] tokens) and waits for (pairs of token and urgency), which extends the leases.
# What is held is held, also if Redis forgot it. Returns those tokens that no longer wait.
BEAT = (
    _BASE
    + """
local count = tonumber(ARGV[6])
for index = 7, 6 + count do
  redis.call('ZADD', held, now + lease, ARGV[index])
end
for index = 7 + count, #ARGV, 2 do
  local token = ARGV[index]
  if redis.call('ZSCORE', held, token) then
    redis.call('ZADD', held, now + lease, token)
  elseif redis.call('ZSCORE', waiting, token) then
    redis.call('ZADD', pending, now + lease, token)
  else
    enqueue(token, ARGV[index + 1])
  end
end
hand_out('')
local granted = {}
for index = 7 + count, #ARGV, 2 do
  if redis.call('ZSCORE', held, ARGV[index]) then
    table.insert(granted, ARGV[index])
  end
end
return granted
"""
)

# Lowers the size for ARGV[6] ms to one less than the number of slots taken now, but at least to 1.
SHRINK = (
    _BASE
    + """
redis.call('SET', lowered, math.max(1, redis.call('ZCARD', held) - 1), 'PX', ARGV[6])
"""
)

# Stores the changed breakers, and tells the states of all. KEYS: a hash of them, and the processes that live.
# ARGV: this process, its lease in ms, and for each change the breaker's name and for how many ms it is open, or 0.
# Returns the number of processes, and for each breaker its name, version, and for how many ms more it is open: "" if
# it is closed, less than 0 if a trial call may go through.
BREAKERS = """
local breakers, processes = unpack(KEYS)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', processes, '-inf', now)
redis.call('ZADD', processes, now + tonumber(ARGV[2]), ARGV[1])
for index = 3, #ARGV, 2 do
  local open = tonumber(ARGV[index + 1])
  local version = redis.call('HINCRBY', breakers, '#version', 1)
  local ends = open > 0 and string.format('%.0f', now + open) or ''
  redis.call('HSET', breakers, ARGV[index], string.format('%.0f', version) .. ' ' .. ends)
  redis.call('PEXPIRE', breakers, 86400000)
end
local answer = {redis.call('ZCARD', processes)}
local all = redis.call('HGETALL', breakers)
for index = 1, #all, 2 do
  if all[index] ~= '#version' then
    local version, ends = string.match(all[index + 1], '^(%d+) (%d*)$')
    table.insert(answer, all[index])
    table.insert(answer, version)
    table.insert(answer, ends ~= '' and string.format('%.0f', tonumber(ends) - now) or '')
  end
end
return answer
"""
