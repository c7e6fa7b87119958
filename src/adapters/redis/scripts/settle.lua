-- ARGV: sender, deployment, what became of its status: `delivered`, `later` (somebody shall try again),
-- or why it never can be.
local sender, id, how = ARGV[1], ARGV[2], ARGV[3]
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
end
redis.call('HDEL', out, id)
return { 'OK' }
