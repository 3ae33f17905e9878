-- Writes the requests that `wrk` sends for serving.py: a random listener's, about random songs of theirs.
--
--   wrk … -s requests.lua URL -- get|put|get-100 FILE SEED
--
-- FILE holds the developer token on its first line, then on each line a music user token and, after a tab, the ids of
-- the songs that this listener rated, joined by commas.

local NEW_IDS = 0.1 -- of PUTs rate a song that the listener has not rated before
local random = math.random
local tails, songs, all_songs = {}, {}, {}
local puts = 0

local function get(listener)
  local theirs = songs[listener]
  return "GET /v1/me/ratings/songs/" .. theirs[random(#theirs)] .. tails[listener] .. "\r\n"
end

local BODIES = {
  '{"type":"rating","attributes":{"value":1}}',
  '{"type":"rating","attributes":{"value":-1}}',
}
for index, body in ipairs(BODIES) do
  BODIES[index] = "Content-Type: application/json\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end

local function put(listener)
  local theirs = songs[listener]
  local id = random() < NEW_IDS and random(100000000, 1999999999) or theirs[random(#theirs)]
  puts = puts + 1
  return "PUT /v1/me/ratings/songs/" .. id .. tails[listener] .. BODIES[puts % 2 + 1]
end

local function get_100(listener)
  return "GET /v1/me/ratings/songs?ids=" .. all_songs[listener] .. tails[listener] .. "\r\n"
end

local kinds = { get = get, put = put, ["get-100"] = get_100 }
local next_request

function init(arguments)
  next_request = kinds[arguments[1]]
  local file = assert(io.open(arguments[2]))
  math.randomseed(tonumber(arguments[3]))
  local developer_token = file:read("*l")
  for line in file:lines() do
    local user_token, ids = line:match("(.-)\t(.*)")
    local theirs = {}
    for id in ids:gmatch("[^,]+") do
      theirs[#theirs + 1] = id
    end
    songs[#songs + 1] = theirs
    all_songs[#songs] = ids
    tails[#songs] = " HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " .. developer_token
      .. "\r\nMusic-User-Token: " .. user_token .. "\r\n"
  end
  file:close()
end

function request()
  return next_request(random(#songs))
end

function done(summary, latency)
  local errors = summary.errors
  local failures = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  print(string.format(
    '\n{"requests": %d, "microseconds": %d, "failures": %d, "p50": %d, "p99": %d}',
    summary.requests, summary.duration, failures, latency:percentile(50), latency:percentile(99)
  ))
end
