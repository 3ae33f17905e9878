-- Writes the requests that `wrk` sends: a random listener's, about random songs of theirs.
--
--   wrk … -s requests.lua URL -- get|put|get-100|mixed|cold FOLDER SEED [SERVICE]
--
-- FOLDER/listeners holds the developer token on its first line, then on each line a music user token and, after a tab,
-- the ids of songs that this listener rated, joined by commas. FOLDER/cold holds developer tokens, which are sent one
-- after the other; how far a service was sent them is kept in FOLDER/cold-SERVICE, so that none comes again too soon.

local NEW_IDS = 0.1 -- of PUTs rate a song that the listener has not rated before
local WRITES = 0.1 -- of mixed requests are PUTs
local random = math.random
local tails, songs, all_songs, user_tokens, cold_tokens = {}, {}, {}, {}, {}
local puts = 0
local threads = {}

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

local function mixed(listener)
  return (random() < WRITES and put or get)(listener)
end

local function tail(developer_token, user_token)
  return " HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " .. developer_token
    .. "\r\nMusic-User-Token: " .. user_token .. "\r\n"
end

local function cold(listener)
  local theirs = songs[listener]
  sent = sent + 1
  return "GET /v1/me/ratings/songs/" .. theirs[random(#theirs)]
    .. tail(cold_tokens[sent % #cold_tokens + 1], user_tokens[listener]) .. "\r\n"
end

local kinds = { get = get, put = put, ["get-100"] = get_100, mixed = mixed, cold = cold }
local next_request

-- Only what is global can be asked of a thread in the end.
sent = 0
sent_file = ""

function setup(thread)
  threads[#threads + 1] = thread
end

local function read_cold(folder, service)
  for token in assert(io.open(folder .. "/cold")):lines() do
    cold_tokens[#cold_tokens + 1] = token
  end
  sent_file = folder .. "/cold-" .. service
  local file = io.open(sent_file)
  if file then
    sent = file:read("*n")
    file:close()
  end
end

function init(arguments)
  next_request = kinds[arguments[1]]
  if arguments[1] == "cold" then
    read_cold(arguments[2], arguments[4])
  end
  local file = assert(io.open(arguments[2] .. "/listeners"))
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
    tails[#songs] = tail(developer_token, user_token)
    user_tokens[#songs] = user_token
  end
  file:close()
end

function request()
  return next_request(random(#songs))
end

function done(summary, latency)
  local file = threads[1]:get("sent_file")
  if file ~= "" then
    file = assert(io.open(file, "w"))
    file:write(threads[1]:get("sent"))
    file:close()
  end
  local errors = summary.errors
  local failures = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  print(string.format(
    '\n{"requests": %d, "microseconds": %d, "failures": %d, "p50": %d, "p99": %d}',
    summary.requests, summary.duration, failures, latency:percentile(50), latency:percentile(99)
  ))
end
