-- ARGV: lease id, deployment, entry. Decides how the deployment ended: a cancel or a newer job that came
-- before wins. Returns the entry to deliver. A repeated call gets the answer the first one lost.
local lease_id, id, entry = ARGV[1], ARGV[2], ARGV[3]
local who, service = owner(id)
if who ~= lease_id then
  local sender, _, decided = outgoing(id)
  if sender == lease_id then
    return { 'OK', decided }
  end
  return { 'LOST' }
end
if redis.call('ZSCORE', tomb, id) then
  entry = BY_USER
elseif redis.call('HEXISTS', newer, id) == 1 then
  entry = BY_NEWER
end
conclude(id, lease_id, entry)
disown(id, service)
return { 'OK', entry }
