"""The scripts that run in the server, each as one step. All times are the server's, in milliseconds."""

ADD = """
-- Adds events, each to its stream, and no event of a key behind one that was refused. Returns, for each, the text of
-- the error, or an empty one.
-- KEYS: a stream for each event. ARGV: for each event its key, how many fields it has, and these
local refused, answer, at = {}, {}, 1
for index, stream in ipairs(KEYS) do
    local key, count = ARGV[at], tonumber(ARGV[at + 1])
    if not refused[key] then
        local added = redis.pcall('XADD', stream, '*', unpack(ARGV, at + 2, at + 1 + count))
        if type(added) == 'table' and added.err then
            refused[key] = added.err
        end
    end
    answer[index] = refused[key] or ''
    at = at + 2 + count
end
return answer
"""

TAKE = """
-- Renews this consumer and its streams, and takes free ones up to its share. Returns the share and what it holds.
-- KEYS: members, owners. ARGV: consumer, lease, streams of the topic
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease, streams = tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZADD', KEYS[1], now + lease, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. now)
local share = math.ceil(streams / redis.call('ZCARD', KEYS[1]))
local held, free = {}, {}
for number = 0, streams - 1 do
    local found = redis.call('HGET', KEYS[2], number)
    local ends, owner = 0, ''
    if found then
        local text
        text, owner = string.match(found, '^(%d+) (.*)$')
        ends = tonumber(text)
    end
    if owner == ARGV[1] then
        table.insert(held, number)
    elseif ends < now then
        table.insert(free, number)
    end
end
for _, number in ipairs(free) do
    if #held < share then
        table.insert(held, number)
    end
end
for _, number in ipairs(held) do
    redis.call('HSET', KEYS[2], number, string.format('%d %s', now + lease, ARGV[1]))
end
return {share, held}
"""

GIVE_UP = """
-- Gives streams up that this consumer owns. KEYS: owners. ARGV: consumer, numbers of streams
for index = 2, #ARGV do
    local found = redis.call('HGET', KEYS[1], ARGV[index])
    if found and string.match(found, '^%d+ (.*)$') == ARGV[1] then
        redis.call('HDEL', KEYS[1], ARGV[index])
    end
end
"""

READ = """
-- Reads streams that this consumer owns: pending entries after an id, or new ones ('>').
-- Returns, for each, its number, its last id, and its entries.
-- KEYS: owners, streams. ARGV: consumer, group, most entries of each, and for each stream its number and the start
local answer = {}
for index = 2, #KEYS do
    local number, start = ARGV[index * 2], ARGV[index * 2 + 1]
    local found = redis.call('HGET', KEYS[1], number)
    if found and string.match(found, '^%d+ (.*)$') == ARGV[1] then
        local stream = KEYS[index]
        local read = redis.call('XREADGROUP', 'GROUP', ARGV[2], 'owner', 'COUNT', ARGV[3], 'STREAMS', stream, start)
        local info = redis.call('XINFO', 'STREAM', stream)
        local last = '0-0'
        for field = 1, #info, 2 do
            if info[field] == 'last-generated-id' then
                last = info[field + 1]
            end
        end
        table.insert(answer, {number, last, read and read[1][2] or {}})
    end
end
return answer
"""

TRIM = """
-- Removes entries that every group has handled, and that are older than the retention. KEYS: stream. ARGV: retention
if redis.call('EXISTS', KEYS[1]) == 0 then
    return 0
end
local time = redis.call('TIME')
local before = math.max(0, time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(ARGV[1]))
local function earlier(id, limit)
    local at = tonumber(string.match(id, '^(%d+)'))
    return at < limit and at or limit
end
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local of = {}
    for field = 1, #group, 2 do
        of[group[field]] = group[field + 1]
    end
    before = earlier(of['last-delivered-id'], before)
    local pending = redis.call('XPENDING', KEYS[1], of['name'])
    if pending[1] > 0 then
        before = earlier(pending[2], before)
    end
end
return redis.call('XTRIM', KEYS[1], 'MINID', '~', before)
"""
