"""The script that counts in Redis or Valkey: all limits of a request in one atomic step, by the server's clock.

Its keys have one hash tag, so that they are on one node of a cluster: a request's limits are counted by different
things, such as an address and an account, and no other tag would hold all of them.
"""

from hashlib import blake2b

TAKE = """
-- Answers questions one after another. A question takes as many requests from each of its keys as all of them have, up
-- to what is wanted; a number below 0 gives requests back.
-- KEYS: those of all questions, a limit for one caller each. ARGV: for each question how many are wanted, how many keys
-- it has, and for each of these its interval and capacity in microseconds.
-- Returns for each question how many were taken, and for each of its keys how far its theoretical arrival time lies
-- ahead, in microseconds.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answer, key, at = {}, 0, 1
while at <= #ARGV do
    local taken, count, aheads = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), {}
    for index = 1, count do
        local interval, capacity = tonumber(ARGV[at + 2 * index]), tonumber(ARGV[at + 2 * index + 1])
        -- Further ahead than the capacity: the clock has gone back since.
        aheads[index] = math.max(0, math.min(tonumber(redis.call('GET', KEYS[key + index]) or 0) - now, capacity))
        taken = math.min(taken, math.floor((capacity - aheads[index]) / interval))
    end
    answer[#answer + 1] = taken
    for index = 1, count do
        local ahead = math.max(0, aheads[index] + taken * tonumber(ARGV[at + 2 * index]))
        if ahead > 0 then
            redis.call('SET', KEYS[key + index], string.format('%.0f', now + ahead), 'PX', math.ceil(ahead / 1000))
        else
            redis.call('DEL', KEYS[key + index])
        end
        answer[#answer + 1] = ahead
    end
    key, at = key + count, at + 2 + 2 * count
end
return answer
"""

_PREFIX = "{souk:limits}"


def redis_key(policy: str, key: str) -> str:
    """Returns the key in Redis; of what is counted by, only a digest, so that no address is stored there."""
    return f"{_PREFIX}:{policy}:{blake2b(key.encode(errors='replace'), digest_size=16).hexdigest()}"
