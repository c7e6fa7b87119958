-- ARGV: sender, deployment, what became of its status: `delivered`, `later` (somebody shall try again),
-- or why it never can be; the status that was delivered, which a cancel may have overtaken here since.
local sender, id, how, posted = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local current, since, entry = outgoing(id)
if current ~= sender then
  return { 'LOST' }
end
if how == 'later' then
  put_out(id, NOBODY, since, entry)
  return { 'OK' }
end
if how ~= 'delivered' then
  bury(how, id, entry)
elseif posted and posted ~= '' then
  redis.call('HSET', fin, id, posted)
end
redis.call('HDEL', out, id)
return { 'OK' }
