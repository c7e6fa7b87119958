-- ARGV: lease id, most attempts, the worker's two names, from how many elements to choose (1: always the first),
-- how often the first may be left. The only way out of the queue: an element becomes this worker's, or what it
-- has to be. Should the answer be lost, the next `beat` tells.
local lease_id, most = ARGV[1], tonumber(ARGV[2])
local width, patience = tonumber(ARGV[5] or 1), tonumber(ARGV[6] or 0)
if not is_worker(lease_id) then
  return { 'LOST', {} }
end
local paused = pause_of(ARGV[3], ARGV[4])
if paused ~= '' then
  return { 'PAUSED', marks(lease_id), paused }
end
local first = redis.call('LRANGE', queue, 0, 0)[1]
if not first then
  return { 'EMPTY', marks(lease_id) }
end

-- Fields of `whose` that are no deployment, since none begins with a colon: how often the first was left in a row,
-- and what the first elements say of themselves.
local PASSED = ':passed'
local MOST_OWNERS = 10000
local MOST_NEW = 32         -- Elements that one call reads for the line: Redis copies each of them.
local MOST_BYTES = 1048576  -- Of these.
local HEAD = 2048           -- The platform writes what is looked for in front of the variables.

-- Where an element belongs that needs no build; nil: it is to be built. Its place in the queue is the caller's.
local function place_beside(payload, id, service)
  if not id then
    bury(#payload > LARGEST and 'too large' or 'no job', nil, payload)
    return 'malformed'
  end
  if redis.call('ZSCORE', seen, id) or redis.call('HEXISTS', own, id) == 1 then
    return 'duplicate'
  end
  if redis.call('ZSCORE', tomb, id) then
    conclude(id, NOBODY, BY_USER)
    return 'ended'
  end
  if redis.call('HEXISTS', newer, id) == 1 then
    conclude(id, NOBODY, BY_NEWER)
    return 'ended'
  end
  local running = service ~= '' and redis.call('HGET', svc, service)
  if running then
    return let_wait(id, service, payload, running) and 'ended' or 'waits'
  end
  if tonumber(redis.call('HGET', att, id) or 0) >= most then
    conclude(id, NOBODY, NO_MORE_ATTEMPTS)
    return 'ended'
  end
end

local function read_within_limit(payload)
  if #payload <= LARGEST then
    return read(payload)
  end
end

-- The text of a field in the head of an element. Inside a JSON text a quote has a backslash in front, so what looks
-- like the name of a field is one.
local function text_of(head, name, from)
  local text = string.match(head, '"' .. name .. '"%s*:%s*"([^"]*)"', from)
  if text and string.find(text, '\\', 1, true) then
    local ok, plain = pcall(cjson.decode, '"' .. text .. '"')
    text = ok and plain or text
  end
  return text or ''
end

-- Whose turn it is with an element, as domain::turn_owner_of has it; empty: it names nobody.
local function owner_named_by(head)
  local provider = string.find(head, '"gitProvider"%s*:%s*{')
  if not provider then
    return ''
  end
  local custom = string.upper(text_of(head, 'type', provider)) == 'CUSTOM'
  local from = custom and provider or string.find(head, '"githubAccount"%s*:%s*{', provider)
  local account = from and text_of(head, 'username', from) or ''
  local url = custom and text_of(head, 'url', provider) or ''
  if account == '' or custom and url == '' then
    return ''
  end
  local name = string.match(text_of(head, 'repositoryName'), '^(.*)/[^/]*$') or ''
  local parts = custom and { 'turns', 'custom', url, account, name } or { 'turns', 'github', account }
  for i, part in ipairs(parts) do
    parts[i] = #part .. ':' .. part
  end
  return string.sub(redis.sha1hex(table.concat(parts)), 1, 16)
end

-- Those who name nobody, and newcomers, who had no turn yet, are one owner: who makes up owners gets no more than that
-- one's share.
local TOGETHER = ''
local NEWCOMER = '+'  -- In front of the owner of a build that counts for all of them as well.

local function had_turn(name)
  return name ~= TOGETHER and redis.call('ZSCORE', turn, name)
end

local function counted_as(name)
  return (name == TOGETHER or had_turn(name)) and name or NEWCOMER .. name
end

-- How many builds of each owner run, how often the first was left, and the line as it was. What workers took that
-- keep no such books is added to them.
local function books_of_order()
  local count, known = {}, {}
  local books = redis.call('HGETALL', whose)
  for i = 1, #books, 2 do
    known[books[i]] = books[i + 1]
  end
  local passed, line = tonumber(known[PASSED] or 0) or 0, known[LINE] or ''
  known[PASSED], known[LINE] = nil, nil
  local owned = redis.call('HGETALL', own)
  for i = 1, #owned, 2 do
    local id = owned[i]
    local name = known[id]
    known[id] = nil
    if not name then
      name = counted_as(owner_named_by(string.sub(redis.call('HGET', pay, id) or '', 1, HEAD)))
      redis.call('HSET', whose, id, name)
    end
    local newcomer = string.match(name, '^%+(.*)$')
    if newcomer then
      count[TOGETHER] = (count[TOGETHER] or 0) + 1
    end
    name = newcomer or name
    count[name] = (count[name] or 0) + 1
  end
  for id in pairs(known) do
    redis.call('HDEL', whose, id)
  end
  return count, passed, line
end

local function id_named_by(head)
  return string.match(head, '"deploymentId"%s*:%s*"([%w_-]+)"')
end

-- Id, service and owner; nil: they cannot be told from here.
local function entry_of(payload)
  local head = string.sub(payload, 1, HEAD)
  local id = id_named_by(head)
  local service = string.match(head, '"serviceId"%s*:%s*"([%w._-]*)"')
    or string.match(head, '"serviceId"%s*:%s*null') and ''
  if id and service then
    return { id, service, owner_named_by(head) }
  end
end

-- What the first elements say of themselves, in their order. To read all of them each time would hold up everybody
-- else, so it is remembered, and proved: elements come in front of all only by scripts that forget it then, and behind
-- all. So if the first and the last one are where they were, none has come between, and none has left.
local function line_of(remembered)
  local line, own_place = {}, nil
  local head = id_named_by(string.sub(first, 1, HEAD))
  for id, service, name in string.gmatch(remembered, '([^ ]+) ([^ ]*) ([^\n]*)\n') do
    own_place = own_place or id == head  -- Those in front of it are gone.
    if own_place and #line < width then
      line[#line + 1] = { id, service, name }
    end
  end
  local from, bytes, page = math.max(#line - 1, 0), 0, nil
  if #line > 0 then
    page = redis.call('LRANGE', queue, from, from)
    if not page[1] or id_named_by(string.sub(page[1], 1, HEAD)) ~= line[#line][1] then
      line, from = {}, 0
    else
      from = from + 1
    end
  end
  local most_new = math.min(from + MOST_NEW, width)
  while from < most_new and bytes < MOST_BYTES do
    page = redis.call('LRANGE', queue, from, math.min(from + 4, most_new) - 1)
    for _, payload in ipairs(page) do
      line[#line + 1] = entry_of(payload)
      if #line == from then
        return line  -- What cannot be told from here is not overtaken.
      end
      from, bytes = from + 1, bytes + #payload
    end
    if #page == 0 then
      break
    end
  end
  return line
end

-- Whose turn it is: the oldest of the owner with the fewest builds running, of several the one that was served
-- the longest time ago. Of one owner, and of one service, nothing overtakes. What would be set aside for the build of
-- its service has no turn: it would come back in front of those that it has overtaken.
local function place_in_turn(line, running)
  local best, fewest, earliest
  local seen_owners, owner_of_service, busy = {}, {}, {}
  local built = redis.call('HGETALL', svc)
  for i = 1, #built, 2 do
    busy[built[i]] = true
  end
  local last_of = { [TOGETHER] = false }
  local last_together = redis.call('ZSCORE', turn, TOGETHER)
  for i, entry in ipairs(line) do
    local service, name = entry[2], entry[3]
    if not busy[service] then
      if service ~= '' then
        name = owner_of_service[service] or name
        owner_of_service[service] = name
      end
      if last_of[name] == nil then
        last_of[name] = had_turn(name)
      end
      local last = tonumber(last_of[name] or last_together or 0)
      name = last_of[name] and name or TOGETHER
      if not seen_owners[name] then
        seen_owners[name] = true
        local builds = running[name] or 0
        if not best or builds < fewest or builds == fewest and last < earliest then
          best, fewest, earliest = i, builds, last
        end
      end
    end
  end
  return best or 1
end

-- Remembers the line without the element that leaves it.
local function keep_line(line, place)
  table.remove(line, place)
  for i, entry in ipairs(line) do
    line[i] = table.concat(entry, ' ')
  end
  line[#line + 1] = ''
  redis.call('HSET', whose, LINE, table.concat(line, '\n'))
end

-- It was the turn of its owner.
local function count_turn(id, payload, passed)
  local name = owner_named_by(string.sub(payload, 1, HEAD))
  local last = tonumber(redis.call('ZRANGE', turn, -1, -1, 'WITHSCORES')[2] or 0)
  redis.call('HSET', whose, id, counted_as(name))
  if not had_turn(name) then
    last = last + 1
    redis.call('ZADD', turn, last, TOGETHER)
  end
  if name ~= TOGETHER then
    redis.call('ZADD', turn, last + 1, name)
  end
  redis.call('ZREMRANGEBYRANK', turn, 0, -MOST_OWNERS - 1)
  redis.call('HSET', whose, PASSED, passed)
end

local payload, place, passed, line = first, 1, 0, {}
local id, service = read_within_limit(first)
local beside = place_beside(first, id, service)
if not beside and width > 1 then
  local running, remembered
  running, passed, remembered = books_of_order()
  line = line_of(remembered)
  place = passed < patience and place_in_turn(line, running) or 1
  if place > 1 then
    local found = redis.call('LRANGE', queue, place - 1, place - 1)[1] or ''
    if id_named_by(string.sub(found, 1, HEAD)) ~= line[place][1] then
      line = line_of('')
      place = place_in_turn(line, running)
      found = redis.call('LRANGE', queue, place - 1, place - 1)[1]
    end
    if place > 1 then
      payload = found
      id, service = read_within_limit(payload)
      beside = place_beside(payload, id, service)
    end
  end
  keep_line(line, place)
end
local answer
if beside then
  answer = { 'AGAIN', marks(lease_id), beside }
else
  local attempt = redis.call('HINCRBY', att, id, 1)
  redis.call('HSET', own, id, lease_id .. ' ' .. service)
  redis.call('HSET', pay, id, payload)
  if service ~= '' then
    redis.call('HSET', svc, service, id)
  end
  if width > 1 then
    count_turn(id, payload, place == 1 and 0 or passed + 1)
  end
  answer = { 'JOB', marks(lease_id), id, attempt, payload, redis.call('HGET', stage, id) or '' }
end
redis.call('LREM', queue, 1, payload)
return answer
