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

_GROUP = """
local function group_of(stream, name)
    if redis.call('EXISTS', stream) == 1 then
        for _, group in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
            local of = {}
            for field = 1, #group, 2 do
                of[group[field]] = group[field + 1]
            end
            if of['name'] == name then
                return of
            end
        end
    end
end
local function owns(owners, number, consumer)
    local found = redis.call('HGET', owners, number)
    return found and string.match(found, '^%d+ (.*)$') == consumer
end
"""

HANDED_OUT = (
    _GROUP
    + """
-- Returns what consumers of this group had in hand in streams that this consumer owns, after an id. For each: its
-- number, where the group stands, and the entries.
-- KEYS: owners, streams. ARGV: consumer, group, most entries of each, and for each stream its number and the id
local answer = {}
for index = 2, #KEYS do
    local number, start = ARGV[index * 2], ARGV[index * 2 + 1]
    if owns(KEYS[1], number, ARGV[1]) then
        local stream = KEYS[index]
        local group = group_of(stream, ARGV[2])
        if not group then
            return redis.error_reply('NOGROUP the group is gone')
        end
        local read = redis.call('XREADGROUP', 'GROUP', ARGV[2], 'owner', 'COUNT', ARGV[3], 'STREAMS', stream, start)
        table.insert(answer, {number, group['last-delivered-id'], read and read[1][2] or {}})
    end
end
return answer
"""
)

SETTLE = (
    _GROUP
    + """
-- Moves the group on behind what this consumer has taken, keeps what of that is not handled yet as pending, and
-- acknowledges what was pending and is handled. Returns, for each stream, its number and 1; 0 if the stream is not this
-- consumer's by now, or the group does not stand where it should. One that stands where it shall already has moved.
-- KEYS: owners, streams. ARGV: consumer, group, and for each stream: its number, where the group stands, where it
-- shall stand, how many entries that passes, how many of these are in hand, these, how many are handled, and these
local answer, at = {}, 3
for index = 2, #KEYS do
    local stream, number, from, to = KEYS[index], ARGV[at], ARGV[at + 1], ARGV[at + 2]
    local passed, held = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
    local done = at + 5 + held
    local handled = tonumber(ARGV[done])
    local as_known = 1
    if passed > 0 then
        local group = group_of(stream, ARGV[2])
        if not group then
            return redis.error_reply('NOGROUP the group is gone')
        end
        if not owns(KEYS[1], number, ARGV[1]) then
            as_known = 0
        elseif group['last-delivered-id'] == from then
            local set = {'XGROUP', 'SETID', stream, ARGV[2], to}
            if group['lag'] then
                local info = redis.call('XINFO', 'STREAM', stream)
                for field = 1, #info, 2 do
                    if info[field] == 'entries-added' then
                        table.insert(set, 'ENTRIESREAD')
                        table.insert(set, info[field + 1] - group['lag'] + passed)
                    end
                end
            end
            redis.call(unpack(set))
            if held > 0 then
                local claim = {'XCLAIM', stream, ARGV[2], 'owner', 0}
                for entry = at + 5, done - 1 do
                    table.insert(claim, ARGV[entry])
                end
                table.insert(claim, 'FORCE')
                table.insert(claim, 'JUSTID')
                redis.call(unpack(claim))
            end
        elseif group['last-delivered-id'] ~= to then
            as_known = 0
        end
    end
    if handled > 0 then
        redis.call('XACK', stream, ARGV[2], unpack(ARGV, done + 1, done + handled))
    end
    table.insert(answer, {number, as_known})
    at = done + handled + 1
end
return answer
"""
)

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
